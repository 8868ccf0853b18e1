from __future__ import annotations

import dataclasses

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.rexomni_rows import (
    KeysWatch,
    absent_findings,
    annotation_of,
    normal_phrase,
    phrase_findings,
    token_findings,
)
from groundprep.checks.tokens import TokenizerTokens
from groundprep.record import Box, Record, Region
from groundprep.source import Source
from groundprep.trainers import get_profile

BOX = Box((7.5, 3.0, 40.0, 21.0))


def subject(
    *regions: Region, profile: str = "rexomni-sft", referring: str | None = None, answers: tuple[Region, ...] = ()
) -> Subject:
    record = Record(Source("é.tsv", 2), regions=regions, referring=referring, answers=answers)
    return Subject(record, profile=get_profile(profile))


@pytest.mark.parametrize(
    ("phrase", "normal"),
    [
        ("a_b/c", "a b"),
        ("red, white car", "red white car"),
        ("w/ hat man", "w"),
        ("/x", ""),
        ("traffic light", "traffic light"),
    ],
)
def test_phrases_are_normalised_as_the_trainer_does(phrase: str, normal: str) -> None:
    assert normal_phrase(phrase) == normal  # specs/rexomni.md §3.3


@pytest.mark.parametrize("phrase", ["chien", "Le chien à gauche", "犬", "traffic light"])
def test_a_normal_phrase_gives_no_finding(phrase: str) -> None:
    assert list(phrase_findings(subject(Region(phrase, BOX), profile="rexomni-grpo"))) == []


@pytest.mark.parametrize("phrase", ["traffic_light", "a / b", "red, white", " chien", "chien "])
def test_a_rewritten_phrase_is_a_warning_in_sft_and_an_error_under_grpo(phrase: str) -> None:
    (sft,) = phrase_findings(subject(Region(phrase, BOX)))
    (grpo,) = phrase_findings(subject(Region(phrase, BOX), profile="rexomni-grpo"))
    assert (sft.code, sft.severity, grpo.severity) == ("phrase-not-normal", "warning", "error")
    assert sft.expected == normal_phrase(phrase).strip()


@pytest.mark.parametrize("phrase", ["", " ", "/x", "a\nb", "x <image>", "<12>", "[OBJ]", "a<|box_start|>"])
def test_steering_text_and_nothing_at_all_are_errors_everywhere(phrase: str) -> None:
    (finding,) = phrase_findings(subject(Region(phrase, BOX)))
    assert (finding.code, finding.severity) == ("phrase-not-normal", "error")


def test_a_phrase_is_reported_once_a_row_and_an_expression_is_one() -> None:
    assert len(list(phrase_findings(subject(Region("a_b", BOX), Region("a_b", BOX))))) == 1
    assert len(list(phrase_findings(subject(referring="a_b")))) == 1


def test_absences_are_found_in_regions_and_in_expressions_without_answer() -> None:
    found = absent_findings(subject(Region("chien", BOX), Region("chat"), Region("chat")))
    assert [(finding.code, finding.found) for finding in found] == [("absent-not-held", "chat")]
    assert [finding.found for finding in absent_findings(subject(referring="le chat"))] == ["le chat"]
    assert list(absent_findings(subject(referring="le chien", answers=(Region("le chien", BOX),)))) == []


def test_rows_must_have_the_keys_of_the_first_row() -> None:
    values: list[dict[str, list[int]]] = [{"boxes": []}, {"boxes": [1]}, {"boxes": [], "points": []}, {"points": []}]
    rows = [Subject(Record(Source("é.tsv", number)), row=value) for number, value in enumerate(values, start=1)]
    for size in (1, 2, 4):  # whatever the batches
        watch = KeysWatch()
        notes = [KeysWatch().note(rows[start : start + size]) for start in range(0, 4, size)]
        more, other = (finding for note in notes if note is not None for finding in watch.see(note))
        assert (more.code, more.source, more.found) == ("keys-differ", "é.tsv:3", "boxes, points")
        assert (other.found, other.expected) == ("points", "boxes (as in é.tsv:1)")


def test_a_row_that_no_loader_reads_is_not_what_others_are_compared_with() -> None:
    values: list[dict[str, list[int]]] = [{"points": []}, {"boxes": []}]
    rows = [Subject(Record(Source("é.tsv", number)), row=value) for number, value in enumerate(values, start=1)]
    assert list(KeysWatch().see(KeysWatch().note(rows) or [])) == []


def test_the_annotation_stands_inside_a_json_row_and_is_the_row_of_a_tsv() -> None:
    boxes = {"boxes": []}
    assert annotation_of({"image_name": "é.jpg", "annotation": boxes}) is boxes
    assert annotation_of(boxes) is boxes


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TokenizerTokens:
    """Return a tokenizer in which two words have the tokens of coordinates, as rare symbols have in Qwen2.5's."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    directory = tmp_path_factory.mktemp("wörter")
    words = {"le": 7, "chien": 150_642, "∉": 150_643, "⊄": 151_642, "狗": 151_643, "?": 0}
    model = Tokenizer(models.WordLevel(words, unk_token="?"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=model, unk_token="?").save_pretrained(str(directory))
    return TokenizerTokens(str(directory))


def test_a_phrase_with_the_token_of_a_coordinate_is_found_with_a_tokenizer_only(tokenizer: TokenizerTokens) -> None:
    strange = subject(Region("le ∉ chien", BOX), Region("⊄", BOX), Region("le chien 狗", BOX))
    assert list(token_findings(strange)) == []
    found = list(token_findings(dataclasses.replace(strange, tokens=tokenizer)))
    assert [(finding.code, finding.severity, finding.found) for finding in found] == [
        ("phrase-coordinate-token", "warning", "le ∉ chien: <0>"),
        ("phrase-coordinate-token", "warning", "⊄: <999>"),
    ]
