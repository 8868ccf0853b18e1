"""The text of Rex-Thinker's, EasyR1's and TRL's rows: a hint, a request, a fenced answer (specs/rexthinker.md §2.3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.spec_readers.facts import Fact, Frame, RefusedError, StoredImage

HINT = "Hint: Object and its coordinates in this image: "
REQUEST = "\nPlease detect "
END = " in this image."


def grounding_facts(problem: str, answer: str, image: StoredImage, frame: Frame) -> Iterator[Fact]:
    """Yield the candidates of the hint and the answered boxes; a free question is its own phrase, free text a fact of its own.

    Args:
        problem: the user's text, without `<image>`.
        answer: the ground truth, verbatim.
        image: the row's image.
        frame: what the numbers mean.
    """
    if not problem.startswith(HINT) and not answer.startswith("```json\n[{"):
        yield text_of(image)
        return
    candidates, phrase = hinted(problem, image, frame)
    yield from candidates
    yield from answered(fenced_objects(answer), phrase, image, frame)


def hinted(question: str, image: StoredImage, frame: Frame) -> tuple[list[Fact], str]:
    """Return the candidates of a question's hint, if it has one, and the expression that it asks for, or the question itself."""
    if question.startswith(HINT) and REQUEST in question and question.endswith(END):
        hint, request = question[len(HINT) :].split(REQUEST, 1)
        referring = request[: -len(END)]
        ((_, boxes),) = json.loads(hint).items()
        return [frame.fact(image, referring, "candidate", numbers) for numbers in boxes], referring
    start = REQUEST.lstrip()
    is_request = question.startswith(start) and question.endswith(END)
    return [], question[len(start) : -len(END)] if is_request else question


def answered(objects: list[Any], referring: str | None, image: StoredImage, frame: Frame) -> Iterator[Fact]:
    """Yield the boxes and points of an answer; none of them means that the expression is absent."""
    for item in objects:
        label = item.get("label", referring)
        if "bbox_2d" in item:
            yield frame.fact(image, label, "box", item["bbox_2d"])
        elif "point_2d" in item:
            yield frame.fact(image, label, "point", item["point_2d"])
        else:
            raise RefusedError(f"an object has neither bbox_2d nor point_2d: {item}")
    if not objects:
        yield Fact(image.key, referring, "absent")


def text_of(image: StoredImage) -> Fact:
    """Return the fact that a row is a question with an answer in words."""
    return Fact(image.key, None, "text")


def fenced_objects(answer: str) -> list[Any]:
    """Return the list in a ```json fence; raises RefusedError without one."""
    if not (answer.startswith("```json\n") and answer.endswith("\n```")):
        raise RefusedError(f"the answer has no fence: {answer[:60]}")
    value = json.loads(answer[len("```json\n") : -len("\n```")])
    if not isinstance(value, list):
        raise RefusedError("the fenced answer is no list")
    return value


def without_image_mark(problem: str, images: int) -> str:
    """Return a problem without its `<image>` marks, of which there is one for each image (specs/rexthinker.md §3.2, §4.2)."""
    if problem.count("<image>") != images:
        raise RefusedError(f"{problem.count('<image>')} <image> for {images} images")
    return problem.replace("<image>", "")
