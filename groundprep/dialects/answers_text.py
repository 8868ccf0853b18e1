"""The questions and answers of VLM-R1's rows as text: official templates, box lists, fenced objects, `None`.

Source of every literal: om-ai-lab/VLM-R1 @90052f4 (specs/vlmr1_easydistill.md §1.3, §1.6) and, for the segmentation
question, oguz-kolukisa/VLM-R1 @66d7e61 download_coco_dataset.py (§2.1).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from groundprep.containers.json_text import decode_value, encode_exact
from groundprep.errors import RecordError

IMAGE_MARK = "<image>"
ANSWER_TAGS = ("<answer>", "</answer>")
FENCE = "```"
NONE = "None"
"""The answer to a detection question when nothing is there; compared exactly."""

REC_START = "Please provide the bounding box coordinate of the region this sentence describes: "
REC_END = "."
SEG_START = "What is the segmentation polynomial coordinates of the "
SEG_END = "."
OVD_START = "Please carefully check the image and detect the following objects: "
OVD_END = (
    ". Output the bbox coordinates of detected objects in JSON format in <answer></answer>. The bbox coordinate format"
    ' should be: \n```json\n[{"bbox_2d": [x1, y1, x2, y2], "label": "object name"}]\n```\n. If no targets are detected in'
    ' the image, simply respond with "None".'
)

FENCED = re.compile(r"```json(.*?)```", re.DOTALL)
"""A fenced answer. Of several, the trainer's detection rewards read the last (§1.6)."""

_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_TEXT_LIST = re.compile(rf"\[\s*(?:(?:{_TEXT})\s*(?:,\s*(?:{_TEXT})\s*)*,?\s*)?\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:['\"\\nrtabfv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|\\")
"""The escapes that Python's repr writes; a backslash that begins none matches alone."""
_BRACKETED = re.compile(r"\[.*\]", re.DOTALL)


class ObjectAnswer(NamedTuple):
    """One object of a fenced answer; `value` is the object as written."""

    box: list[float]
    label: str | None
    value: dict[str, Any]


def plain_question(question: str) -> str:
    """Return a question without its `<image>` marks, which the trainer removes wherever they stand, and outer blanks."""
    return question.replace(IMAGE_MARK, "").strip()


def question_with_images(text: str, images: int) -> str:
    """Return a question with one `<image>` in front for every image, as the official files have it."""
    return IMAGE_MARK * images + text


def between(text: str, start: str, end: str) -> str | None:
    """Return what stands between a template's two ends, or None if the text is not of that template."""
    if text.startswith(start) and text.endswith(end) and len(text) >= len(start) + len(end):
        return text[len(start) : len(text) - len(end)]
    return None


def parse_rec_question(question: str) -> str | None:
    """Return the expression that the official REC question asks for, or None."""
    return between(plain_question(question), REC_START, REC_END)


def parse_seg_question(question: str) -> str | None:
    """Return the category that the fork's segmentation question asks for, or None."""
    return between(plain_question(question), SEG_START, SEG_END)


def format_ovd_question(labels: Sequence[str]) -> str:
    """Return the detection question; the labels as Python writes a list."""
    return f"{OVD_START}{list(labels)!r}{OVD_END}"


def parse_ovd_question(question: str) -> list[str] | None:
    """Return the labels that the official detection question asks for, or None if it is another question."""
    text = between(plain_question(question), OVD_START, OVD_END)
    if text is None or not _TEXT_LIST.fullmatch(text) or any(m == "\\" for m in _ESCAPE.findall(text)):
        return None
    try:
        labels = ast.literal_eval(text)  # a list of quoted texts with known escapes: nothing else got this far
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return [str(label) for label in labels]


def without_answer_tags(text: str) -> str:
    """Return an answer as the trainer's loader leaves it: without `<answer>` and `</answer>`, stripped."""
    for tag in ANSWER_TAGS:
        text = text.replace(tag, "")
    return text.strip()


def is_numbers(value: Any, count: int) -> bool:
    """Say whether value is a list of so many numbers."""
    return isinstance(value, list) and len(value) == count and all(type(number) in (int, float) for number in value)


def parse_box_answer(answer: Any) -> list[float] | None:
    """Return the four numbers of a REC answer, a JSON list or its text; None if it is another answer."""
    if isinstance(answer, str):
        text = without_answer_tags(answer)
        if not (text.startswith("[") and text.endswith("]")):
            return None
        try:
            answer = decode_value(text)
        except RecordError:
            return None
    return answer if is_numbers(answer, 4) else None


def replace_list(text: str, numbers: Sequence[float]) -> str:
    """Return an answer's text with its bracketed list replaced."""
    return _BRACKETED.sub(lambda _: encode_exact(list(numbers)), text, count=1)


def parse_objects(answer: Any) -> list[ObjectAnswer] | None:
    """Return the objects of a detection answer: those of its last fence, none for `None`; None if it is another answer.

    Raises:
        RecordError: `bad-answer` if the fence does not hold a list of objects with boxes, and the errors of JSON.
    """
    if not isinstance(answer, str):
        return None
    if without_answer_tags(answer) == NONE:
        return []
    fences = FENCED.findall(answer)
    if not fences:
        return None
    objects = decode_value(fences[-1].strip())
    if not isinstance(objects, list):
        raise RecordError(
            "the fenced answer is not a list",
            code="bad-answer",
            found=objects,
            expected='[{"bbox_2d": [x0, y0, x1, y1], "label": …}]',
        )
    answers = []
    for item in objects:
        if not isinstance(item, dict) or not is_numbers(item.get("bbox_2d"), 4):
            raise RecordError("an answer needs a bbox_2d of four numbers", code="bad-answer", found=item)
        label = item.get("label")
        answers.append(ObjectAnswer(item["bbox_2d"], label if isinstance(label, str) else None, item))
    return answers


def beside_objects(answer: Any) -> str:
    """Return the text around the last fence of an answer, which stays when its objects are written anew; "" without one."""
    fences = [*FENCED.finditer(answer)] if isinstance(answer, str) else []
    return f"{answer[: fences[-1].start()]}\n{answer[fences[-1].end() :]}" if fences else ""


def format_objects(objects: Sequence[dict[str, Any]]) -> str:
    """Return the fenced list of `{"bbox_2d", "label"}` objects, or `None` for none.

    An empty fence would do as well, but only `None` is what the question asks for.
    """
    return f"```json\n{encode_exact(list(objects))}\n```" if objects else NONE


def require_unreserved(text: str, *marks: str) -> str:
    """Return a text; raises RecordError (`reserved-text`) if it holds what the trainer takes for a mark of its own."""
    for mark in marks:
        if mark in text:
            raise RecordError(
                f"the text holds {mark}, which the trainer takes for a mark of its own",
                code="reserved-text",
                found=text,
                fix="reword the text",
            )
    return text
