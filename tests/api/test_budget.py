"""`validate` with the limits of a training, and what rows in a file make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.budget import BudgetConfig
from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate
from groundprep.errors import UsageError
from groundprep.finding import Finding

TOY_VLM = Path(__file__).parents[2] / "toy_data" / "vlm"
DOG, CAT, BIRD = [7.5, 3.0, 40.0, 21.0], [1, 2, 20, 33], [44.0, 5.0, 60.0, 30.5]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    Image.new("RGB", (61, 37), (30, 90, 200)).save(tmp_path / "é.jpg")
    return tmp_path


def row(order: list[list[float]] | None = None, words: str = "le chien", **more: Any) -> dict[str, Any]:
    boxes = [{"bbox": box, "category": "bête"} for box in order or [CAT, DOG, BIRD]]
    return {
        "image_name": "é.jpg", "ans": DOG, "category": "bête", "referring": words, "candidate_boxes": boxes,
    } | more  # fmt: skip


def write(directory: Path, rows: list[dict[str, Any]], name: str = "x.jsonl") -> str:
    path = directory / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def findings(source: str, *codes: str, **more: Any) -> list[Finding]:
    return list(validate(ValidateConfig(SourceConfig((source,)), select=codes, **more)).findings)


def test_the_default_batch_gives_a_warning_and_the_trainings_own_an_error(directory: Path) -> None:
    source = write(directory, [row(words=f"chien {i}") for i in range(20)])
    for config, found in (
        (BudgetConfig(), [("rows-few", "warning")]),
        (BudgetConfig(train_batch_size=21), [("rows-few", "error")]),
        (BudgetConfig(train_batch_size=20), []),
    ):
        given = findings(source, "rows-few", profile="rexthinker", budget=config)
        assert [(finding.code, str(finding.severity)) for finding in given] == found


def test_rows_that_were_not_read_are_not_missed(directory: Path) -> None:
    source = write(directory, [row(words=f"chien {i}") for i in range(20)])
    for config in (BudgetConfig(), BudgetConfig(train_batch_size=9)):
        assert findings(source, "rows-few", profile="rexthinker", budget=config, limit=3) == []


def test_limits_need_a_trainer(directory: Path) -> None:
    source = write(directory, [row()])
    with pytest.raises(UsageError) as raised:
        validate(ValidateConfig(SourceConfig((source,)), budget=BudgetConfig(max_prompt_length=9)))
    assert raised.value.found == "--max-prompt-length"


def test_the_same_is_found_before_and_after_a_conversion(directory: Path) -> None:
    source = write(directory, [row(words="un " * 600), row()])
    converted = str(directory / "x.parquet")
    convert(ConvertConfig(SourceConfig((source,)), converted, profile="easyr1"))
    limits = BudgetConfig(max_prompt_length=800, max_response_length=100)
    for path in (source, converted):
        given = findings(path, "prompt-too-long", "answer-too-long", profile="easyr1", budget=limits)
        assert [(finding.code, finding.source.rpartition(":")[2]) for finding in given] == [
            ("prompt-too-long", "1"),
            ("answer-too-long", "1"),
        ]


@pytest.mark.model
def test_a_tokenizer_counts_what_was_estimated(directory: Path) -> None:
    source = write(directory, [row()])
    limits = {"max_prompt_length": 1}
    (estimated,) = findings(source, "prompt-too-long", profile="easyr1", budget=BudgetConfig(**limits))
    counting = BudgetConfig(tokenizer=str(TOY_VLM), **limits)
    (counted,) = findings(source, "prompt-too-long", profile="easyr1", budget=counting)
    assert "(estimated)" in str(estimated.found)
    assert "toy_data/vlm" in str(counted.found)
    assert counted.found != estimated.found


def test_answers_that_are_always_last_are_found_with_and_without_a_trainer(directory: Path) -> None:
    last = write(directory, [row([CAT, BIRD, DOG], f"chien {i}") for i in range(60)])
    orders = ([DOG, CAT, BIRD], [CAT, DOG, BIRD], [CAT, BIRD, DOG])
    turns = write(directory, [row(orders[i % 3], f"chien {i}") for i in range(60)], "turns.jsonl")
    for profile in (None, "easyr1"):
        (finding,) = findings(last, "answer-position", profile=profile)
        assert (finding.source, finding.record) == (last, None)
        assert findings(turns, "answer-position", profile=profile) == []
    assert findings(last, "answer-position", profile="vlmr1") == []


def test_the_number_of_workers_changes_nothing(directory: Path) -> None:
    source = write(directory, [row([CAT, BIRD, DOG] if i % 3 else [DOG, CAT], f"chien {i}") for i in range(200)])
    one, two = (
        findings(source, "answer-position", "rows-few", "candidate-single", profile="easyr1", workers=workers)
        for workers in (1, 2)
    )
    assert one == two
    assert [finding.code for finding in one] == ["answer-position", "rows-few"]


def test_a_hint_that_is_repeated_is_one_finding(directory: Path) -> None:
    source = write(directory, [row([DOG, CAT, DOG])])
    assert [finding.code for finding in findings(source, profile="easyr1") if finding.code.startswith("hint")] == [
        "hint-duplicate"
    ]
    assert [finding.code for finding in findings(source)] == ["hint-ambiguous"]


def test_a_placeholder_for_nothing_is_one_finding(directory: Path) -> None:
    source = write(directory, [row(ans=[0, 0, 0, 0])])
    given = findings(source, profile="easyr1")
    assert [finding.code for finding in given if finding.severity == "error"] == ["rejection-not-scored"]
    assert [f.code for f in findings(write(directory, [row(ans=[])]), profile="easyr1") if f.severity == "error"] == []
