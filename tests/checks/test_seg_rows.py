from __future__ import annotations

import json
from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.seg_rows import answer_findings
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile

CURVE = {"centre": [17.0, 19.0], "coeffs": [14.3025, 6.9726], "size": [48, 64]}


def severities(answer: Any) -> list[str]:
    turns = [{"from": "human", "value": "<image>Segment the vélo."}, {"from": "gpt", "value": answer}]
    subject = Subject(Record(Source("é.jsonl", 1)), profile=get_profile("vlmr1-seg"), row={"conversations": turns})
    findings = list(answer_findings(subject))
    assert {finding.code for finding in findings} <= {"shape-not-chebyshev"}
    return [str(finding.severity) for finding in findings]


@pytest.mark.parametrize("shape", [CURVE, CURVE | {"coeffs": 14}, {"centre": [1, 2], "coeffs": [3.5]}])
def test_a_centre_with_coefficients_is_sound_whatever_else_is_missing(shape: dict[str, Any]) -> None:
    assert severities(f"<answer>{json.dumps(shape)}</answer>") == []


@pytest.mark.parametrize("key", ["polygon", "polygons"])
def test_a_flat_polygon_is_drawn_and_a_list_of_them_is_not(key: str) -> None:
    ring = [8, 10, 48, 10, 48.5, 30]
    assert severities(json.dumps({key: ring, "size": [48, 64]})) == ["warning"]
    assert severities(json.dumps({key: [ring], "size": [48, 64]})) == ["error"]


@pytest.mark.parametrize(
    "answer", ['{"mask_path": "masken/17_0.png"}', f"```json\n{json.dumps(CURVE)}\n```", "rund", [1, 2, 30, 40], "{}"]
)
def test_what_the_reward_cannot_draw_is_an_error(answer: Any) -> None:
    assert severities(answer) == ["error"]
