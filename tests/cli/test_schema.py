"""The command `schema`."""

import json
from typing import Any

from typer.testing import CliRunner

from groundprep.api.schema import encode_schema, json_schema, schema_types
from groundprep.cli import app


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["schema", *arguments])


def test_without_a_name_all_are_listed() -> None:
    assert [line.split()[0] for line in invoke().stdout.splitlines()[1:]] == list(schema_types())
    listed = json.loads(invoke("--format", "json").stdout)["schemas"]
    assert [entry["name"] for entry in listed] == list(schema_types())


def test_a_name_prints_the_file_that_is_committed() -> None:
    assert invoke("rexthinker").stdout_bytes == encode_schema("rexthinker")
    assert json.loads(invoke("manifest", "--format", "json").stdout) == json_schema("manifest")


def test_an_unknown_name_is_exit_2() -> None:
    result = invoke("nope")
    assert result.exit_code == 2
    assert "rexthinker" in result.stderr
