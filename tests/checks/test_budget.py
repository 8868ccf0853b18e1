"""Tokens, boxes and rows against what a trainer allows."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.budget import RowsWatch, budget_findings, has_batch, has_limits, image_tokens
from groundprep.checks.tokens import TokenCount
from groundprep.checks.verdicts import Verdict
from groundprep.dialects.hints import format_answer, format_problem
from groundprep.finding import Finding
from groundprep.images import BytesImage, ImageRef
from groundprep.profile import Profile
from groundprep.record import Box, Record, Region
from groundprep.source import Source
from groundprep.trainers import PROFILES, get_profile


class Words:
    """A tokenizer that knows words only."""

    name = "words"

    def __call__(self, text: str) -> TokenCount:
        count = len(text.split())
        return TokenCount(count, count)


def subject(profile: Profile, row: dict[str, Any], size_wh: tuple[int, int] = (640, 426), **more: Any) -> Subject:
    record = Record(Source("é.jsonl", 4), images=(ImageRef(None, BytesImage(b"")),), **more)
    return Subject(record, (Verdict(size_wh),), profile, row)


def scored_row(boxes: int, words: str = "le garçon") -> dict[str, Any]:
    hints = [[100 + i, 95, 526, 198] for i in range(boxes)]
    return {
        "problem": format_problem("person", hints, words),
        "answer": format_answer([{"bbox_2d": hints[0], "label": words}]),
    }


def check(name: str, row: dict[str, Any], size_wh: tuple[int, int] = (640, 426), **more: Any) -> list[Finding]:
    return list(budget_findings(subject(get_profile(name), row, size_wh, **more)))


def codes(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, str(finding.severity)) for finding in findings]


@pytest.mark.parametrize(
    ("profile", "size_wh", "tokens"),
    [  # specs/rexthinker.md §4.6 and P2, specs/targets.md §3.0; two marks each
        ("rexthinker", (640, 480), 391 + 2),
        ("rexthinker", (1920, 1080), 48 * 27 + 2),
        ("easyr1", (1920, 1080), 69 * 39 + 2),
        ("qwen3-vl", (1920, 1080), 60 * 34 + 2),
        ("vlmr1-internvl", (1920, 1080), None),
    ],
)
def test_an_image_is_one_token_for_each_square_of_the_seen_size(
    profile: str, size_wh: tuple[int, int], tokens: int | None
) -> None:
    assert image_tokens(size_wh, get_profile(profile)) == tokens


def test_an_image_that_is_over_the_limit_alone_is_an_error() -> None:
    (finding,) = check("easyr1", scored_row(2), (1920, 1080))
    assert (finding.code, finding.severity, finding.source) == ("prompt-too-long", "error", "é.jsonl:4")
    assert "leaves the row out" in finding.message
    assert "2693 of images" in str(finding.found)
    assert "about 110 of the template" in str(finding.found)
    assert finding.expected == "at most 2048 tokens"
    assert check("easyr1", scored_row(2), (640, 426)) == []
    assert check("rexthinker", scored_row(2), (1920, 1080)) == []


def test_rexthinker_holds_as_many_boxes_as_the_specification_says() -> None:
    """Beside a full image 115 to 135 boxes of about 20 tokens fit (specs/rexthinker.md §4.6)."""
    assert check("rexthinker", scored_row(115), (1260, 790)) == []
    assert codes(check("rexthinker", scored_row(150), (1260, 790))) == [("prompt-too-long", "error")]


def test_a_limit_that_only_the_guess_exceeds_is_a_warning() -> None:
    words = "Donaudampfschifffahrtsgesellschaft " * 250  # 250 pieces at least, 2000 tokens by the guess
    findings = check("easyr1", scored_row(2, words))
    assert ("prompt-too-long", "warning") in codes(findings)
    assert "may have" in findings[0].message


def test_a_limit_that_only_the_template_exceeds_is_a_warning() -> None:
    # 345 + 2 tokens of the image and 24 words are exact; 110 of the template are said.
    for limit, severities in ((481, []), (480, ["warning"]), (371, ["warning"]), (370, ["error"])):
        profile = get_profile("rexthinker").with_budget(prompt_tokens=limit)
        near = replace(subject(profile, scored_row(2)), tokens=Words())
        assert [str(finding.severity) for finding in budget_findings(near)] == severities


def test_a_tokenizer_replaces_the_guess() -> None:
    words = "Donaudampfschifffahrtsgesellschaft " * 250
    long = subject(get_profile("easyr1"), scored_row(2, words))
    assert list(budget_findings(replace(long, tokens=Words()))) == []
    tight = replace(long, profile=get_profile("easyr1").with_budget(prompt_tokens=400), tokens=Words())
    (finding,) = budget_findings(tight)
    assert (finding.code, finding.severity) == ("prompt-too-long", "error")
    assert "of text (words)" in str(finding.found)


def test_the_users_own_limits_count() -> None:
    profile = get_profile("easyr1").with_budget(prompt_tokens=4096)
    assert list(budget_findings(subject(profile, scored_row(2), (1920, 1080)))) == []


def easydistill_row(boxes: int) -> dict[str, Any]:
    labels: dict[str, Any] = {"0": [[100 + i, 264, 723, 332] for i in range(boxes)], "1": [], "2": [], "3": []}
    return {"instruction": "Draw", "abs_box": labels}


def test_easydistills_answers_end_after_256_tokens() -> None:
    """About 10 to 12 boxes fit (specs/vlmr1_easydistill.md §3.6)."""
    assert check("easydistill", easydistill_row(11)) == []
    (finding,) = check("easydistill", easydistill_row(13))
    assert (finding.code, finding.severity) == ("answer-too-long", "error")
    assert "cut off" in finding.message


def rexomni_row(boxes: int, phrases: int = 1) -> dict[str, Any]:
    entries = [{"bbox": [1, 2, 30 + i, 40], "phrase": f"chien {i % phrases}"} for i in range(boxes)]
    return {"boxes": entries}


def test_a_rexomni_box_is_four_tokens_and_a_comma() -> None:
    """About 280 boxes fit beside a full image (specs/rexomni.md §3.7)."""
    assert check("rexomni-sft", rexomni_row(280), (2000, 1000)) == []
    (finding,) = check("rexomni-sft", rexomni_row(330), (2000, 1000))
    assert (finding.code, finding.severity) == ("sequence-too-long", "error")


def test_rexomnis_grpo_stops_at_a_prompt_that_is_too_long() -> None:
    names = {"boxes": [{"bbox": [1, 2, 30, 40], "phrase": f"{i} chien"} for i in range(900)]}
    findings = check("rexomni-grpo", names)
    assert codes(findings) == [("prompt-too-long", "error"), ("answer-too-long", "error")]
    assert "stops" in findings[0].message
    assert check("rexomni-grpo", rexomni_row(300, phrases=10)) == []


def test_an_absent_phrase_costs_its_name_and_five_tokens() -> None:
    tight = get_profile("rexomni-sft").with_budget(sequence_tokens=345 + 2 + 2 + 2 + 5)
    row = {"boxes": [{"bbox": None, "phrase": "chat noir"}]}
    assert [f.severity for f in budget_findings(subject(tight, row))] == ["warning"]  # the template's share
    tighter = tight.with_budget(sequence_tokens=345 + 2 + 2 + 2 + 4)
    assert [f.severity for f in budget_findings(subject(tighter, row))] == ["error"]


def test_messages_of_trl_sft_are_counted_together() -> None:
    row = {
        "prompt": [{"role": "user", "content": "Where is the dog?"}],
        "completion": [{"role": "assistant", "content": "well " * 700}],
        "images": [{"bytes": ImageRef("é.jpg", BytesImage(b"")), "path": "é.jpg"}],  # as a conversion has it
    }
    (finding,) = check("trl-sft", row)
    assert (finding.code, finding.severity) == ("sequence-too-long", "error")
    row["completion"][0]["content"] = "well " * 500
    assert check("trl-sft", row) == []


def test_vlmr1s_answers_are_counted_as_their_text() -> None:
    row = {"conversations": [{"from": "human", "value": "<image>Wo?"}, {"from": "gpt", "value": [1.5, 2, 3, 4]}]}
    assert check("vlmr1", row) == []
    tight = get_profile("vlmr1").with_budget(response_tokens=5)
    (finding,) = budget_findings(subject(tight, row))
    assert finding.code == "answer-too-long"


def ovd(boxes: int, phrase: str = "Hund") -> tuple[Region, ...]:
    return tuple(Region(phrase, Box((3.0, 4.0, 9.5 + i, 11.0))) for i in range(boxes))


def test_a_label_with_more_than_a_hundred_boxes_cannot_score_one() -> None:
    (finding,) = check("vlmr1-ovd", {}, regions=ovd(101))
    assert (finding.code, finding.severity, finding.found) == ("label-boxes", "warning", "101 boxes of 'Hund'")
    assert check("vlmr1-ovd", {}, regions=(*ovd(100), *ovd(100, "Katze"), Region("Hund"))) == []


def rows_findings(count: int, profile: Profile) -> list[Finding]:
    watch = RowsWatch()
    for start in range(0, count, 8):
        note = watch.note([subject(profile, {})] * min(8, count - start))
        assert list(watch.see(pickle.loads(pickle.dumps(note)))) == []
    return list(watch.findings())


def test_fewer_rows_than_the_default_batch_are_a_warning_that_names_it() -> None:
    (finding,) = rows_findings(31, get_profile("rexthinker"))
    assert (finding.code, finding.severity, finding.record, finding.source) == ("rows-few", "warning", None, "é.jsonl")
    assert "rexthinker's default" in finding.message
    assert (finding.found, finding.expected) == ("31 rows", "at least 32")
    assert rows_findings(32, get_profile("rexthinker")) == []


def test_fewer_rows_than_the_batch_of_this_training_are_an_error() -> None:
    profile = get_profile("rexthinker").with_budget(batch_rows=64)
    assert codes(rows_findings(63, profile)) == [("rows-few", "error")]
    assert rows_findings(64, profile) == []


def test_without_rows_or_batch_nothing_is_said() -> None:
    assert rows_findings(0, get_profile("rexthinker")) == []
    assert rows_findings(1, get_profile("trl")) == []


def test_every_profile_with_a_limit_on_tokens_has_rows_that_can_be_counted() -> None:
    layouts = {
        "easyr1": scored_row(1),
        "rexthinker-parquet": scored_row(1),
        "trl": {"prompt": [{"role": "user", "content": "x"}], "solution": "[]", "images": []},
        "trl-sft": {
            "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
            "images": [],
        },
        "rexomni": rexomni_row(1),
        "easydistill": easydistill_row(1),
        "easydistill-single": {"instruction": "x", "abs_box": [1, 2, 3, 4]},
    }
    talk = {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}]}
    layouts |= dict.fromkeys(("vlmr1", "vlmr1-ovd", "vlmr1-seg"), talk)
    for profile in PROFILES.values():
        budget = profile.budget
        if (budget.prompt_tokens, budget.response_tokens, budget.sequence_tokens) == (None, None, None):
            continue
        assert has_limits(profile)
        one = profile.with_budget(prompt_tokens=1, response_tokens=1, sequence_tokens=1)
        row = json.loads(json.dumps(layouts[profile.dialect]))
        found = codes(list(budget_findings(subject(one, row))))
        assert ("sequence-too-long", "error") in found, profile.full_name


def test_profiles_without_a_batch_have_no_rows_to_count() -> None:
    assert not has_batch(get_profile("trl"))
    assert has_batch(get_profile("easyr1"))
    assert not has_limits(get_profile("qwen2.5-vl"))
