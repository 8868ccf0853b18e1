"""The JSON Schemas: current, valid, and in agreement with what the readers accept."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from groundprep.api.schema import SUFFIX, encode_schema, json_schema, main, schema_types, write_schemas
from groundprep.errors import UsageError
from groundprep.finding import Finding, Severity
from groundprep.manifest import FORMAT, InputFile, Manifest, OutputFile, RunConfig

COMMITTED = Path(__file__).parents[2] / "schemas"

REXTHINKER = {
    "image_name": "é.jpg",
    "ans": [[7.5, 3, 40, 21], [1, 2, 3, 4]],
    "category": "Hund",
    "referring": "der Hund",
    "candidate_boxes": [{"bbox": [7, 3, 41, 21], "category": "Hund", "score": 0.91, "own": 1}],
    "image_id": 7,
}
ANNOTATION = {
    "boxes": [{"bbox": [7.5, 3, 40, 21], "phrase": "Hund"}, {"bbox": None, "phrase": "Katze"}],
    "points": [{"point": [9, 8.5], "caption": "Öhr"}],
    "polygons": [{"polygon": [1, 2, 3, 4, 5, 6], "phrase": "Σ"}],
}
EASYR1 = {"problem": "<image>…", "answer": "[]", "images": ["a.jpg", {"bytes": None, "path": "b.jpg"}]}
ROWS = {
    "rexthinker": REXTHINKER,
    "rexomni": {"image_name": "é.jpg", "annotation": ANNOTATION},
    "rexomni-annotation": ANNOTATION,
    "easyr1": EASYR1,
    "rexthinker-parquet": {"problem": "<image>…", "answer": "[]", "images": "/9j/4AAQ"},
}


def validator(name: str) -> Any:
    schema = json_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schemas_are_those_of_the_code() -> None:
    committed = {path.name: path.read_bytes() for path in COMMITTED.glob("*" + SUFFIX)}
    assert committed == {name + SUFFIX: encode_schema(name) for name in schema_types()}, "run `make schemas`"


@pytest.mark.parametrize("name", schema_types())
def test_every_schema_is_a_valid_schema_with_a_title(name: str) -> None:
    schema = validator(name).schema
    assert schema["title"]
    assert schema["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("name", ROWS)
def test_a_real_row_fits_its_schema_and_its_type(name: str) -> None:
    validator(name).validate(ROWS[name])
    if name != "rexthinker-parquet":  # its bytes are base64 in JSON only
        msgspec.convert(ROWS[name], schema_types()[name][0])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rexthinker", {"ans": "7 3 40 21"}),
        ("rexthinker", {"ans": [["7", 3, 40, 21]]}),
        ("rexthinker", {"referring": None}),
        ("rexthinker", {"candidate_boxes": [{"category": "no bbox"}]}),
        ("rexomni", {"annotation": []}),
        ("rexomni", {"annotation": {"boxes": [{"phrase": "no bbox"}]}}),
        ("rexomni-annotation", {"points": [{"point": "9 8"}]}),
        ("easyr1", {"images": "a.jpg"}),
        ("easyr1", {"answer": ["[]"]}),
        ("rexthinker-parquet", {"images": ["/9j/"]}),
    ],
)
def test_a_wrong_row_fits_neither_its_schema_nor_its_type(name: str, change: Any) -> None:
    row = ROWS[name] | change
    assert not validator(name).is_valid(row)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(row, schema_types()[name][0])


@pytest.mark.parametrize("key", ["image_name", "ans", "referring"])
def test_a_row_without_a_required_key_is_invalid(key: str) -> None:
    assert not validator("rexthinker").is_valid({name: value for name, value in REXTHINKER.items() if name != key})


def test_a_real_manifest_and_a_real_finding_fit() -> None:
    config = RunConfig("convert", (InputFile("ä.jsonl", 3, "0" * 64),), {"limit": None}, None)
    manifest = Manifest(FORMAT, "0.1.0", config, {"msgspec": "1"}, {"read": 1}, {}, (OutputFile("x", 1),))
    validator("manifest").validate(json.loads(msgspec.json.encode(manifest)))
    finding = Finding(code="box-empty", severity=Severity.WARNING, record=7, source="ä.jsonl:3", message="empty")
    validator("finding").validate(finding.as_dict())
    assert not validator("finding").is_valid(finding.as_dict() | {"severity": "bad"})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="rexomni-annotation") as error:
        json_schema("coco?")
    assert error.value.code == "no-such-schema"


def test_the_module_writes_every_schema_into_a_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "ä")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(path) for path in write_schemas(tmp_path / "ä")]
    assert main([]) == 2
