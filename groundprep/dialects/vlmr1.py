r"""VLM-R1's two kinds of grounding rows: one expression with one box (REC), and an image with its labelled boxes (OVD).

    REC  "gpt": [103.93, 299.99, 238.15, 477.41]
    OVD  "gpt": "```json\n[{"bbox_2d": [3, 218, 799, 533], "label": "dog"}, …]\n```", or "None"

They are two dialects, because a row of one is an expression and of the other an image; each reads rows of the other kind in a
mixed file, and carries them as they are. Boxes are xyxy; in files that nobody converted, pixels of the stored image.
Source: om-ai-lab/VLM-R1 @90052f4 (specs/vlmr1_easydistill.md §1.2, §1.3, §1.6). The REC reward takes exactly one box of a
bare list: several boxes or none cannot be scored by it (§1.3, §1.6), so they are refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from groundprep.containers.json_text import encode_exact
from groundprep.dialects.answers_text import (
    ANSWER_TAGS,
    FENCE,
    FENCED,
    IMAGE_MARK,
    NONE,
    REC_END,
    REC_START,
    ObjectAnswer,
    format_objects,
    format_ovd_question,
    parse_box_answer,
    parse_objects,
    parse_ovd_question,
    parse_rec_question,
    parse_seg_question,
    plain_question,
    question_with_images,
    replace_list,
    require_unreserved,
    without_answer_tags,
)
from groundprep.dialects.base import ReadContext, WriteContext, extra_keys
from groundprep.dialects.conversation import ConversationDialect, Reading, first_turns
from groundprep.dialects.grounding_text import is_unfenced_answer
from groundprep.dialects.vlmr1_seg import parse_shape
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Record, Region


class _VlmR1(ConversationDialect):
    """What REC and OVD share: each understands both kinds of answer."""

    def read(self, question: str, answer: Any, images: tuple[ImageRef, ...], context: ReadContext) -> Reading:
        """Return a box with its expression, labelled boxes, or a question whose answer is only text."""
        image = images[0] if images else None
        numbers = parse_box_answer(answer)
        if numbers is not None:
            return _read_box(question, numbers, images, context)
        objects = parse_objects(answer)
        if objects is None:
            return Reading({"instruction": plain_question(question)}, is_complete=False)
        reading = self.read_objects(question, objects, [_region(item, image, context) for item in objects], len(images))
        alone = without_answer_tags(answer)
        return reading if alone == NONE or FENCED.fullmatch(alone) else reading._replace(is_complete=False)

    def read_objects(
        self, question: str, objects: Sequence[ObjectAnswer], present: list[Region], images: int
    ) -> Reading:
        """Return labelled boxes as the answers to an instruction: a file of expressions has no rows of phrases."""
        del objects, images
        return Reading({"instruction": plain_question(question), "answers": tuple(present)}, is_complete=False)


class VlmR1(_VlmR1):
    """REC rows: one expression, one box."""

    name = "vlmr1"
    title = "VLM-R1 REC rows: a conversation whose answer is one box as a bare list"

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row is a conversation whose answer is neither labelled boxes nor a shape."""
        del container
        turns = first_turns(value)
        if turns is None or (is_unfenced_answer(turns[1]) and not is_vlmr1_row(value)):  # Qwen's rows look alike
            return False
        return parse_shape(turns[1]) is None and not _is_objects(turns[1]) and not _asks_for_labels(*turns)

    def question(self, record: Record) -> str:
        """Return the official REC question, or the record's own instruction."""
        if record.referring is None:
            return plain_question(record.instruction or "")
        return REC_START + require_unreserved(record.referring, IMAGE_MARK) + REC_END

    def answer(
        self, record: Record, context: WriteContext, own: Mapping[str, Any] | None
    ) -> tuple[Any, dict[str, Any]]:
        """Return the box; a row of labelled boxes keeps its own kind."""
        own_answer = None if own is None else own["conversations"][1]["value"]
        if own is not None and parse_box_answer(own_answer) is None:
            return objects_answer(record.answers, "answers", record, context, own_answer), {}
        return box_answer(record, context, own_answer), {}


class VlmR1Ovd(_VlmR1):
    """OVD rows: an image with its labelled boxes; labels that are asked for and not there are absent."""

    name = "vlmr1-ovd"
    title = "VLM-R1 OVD rows: a conversation whose answer is fenced bbox_2d and label objects, or None"
    unit = "image"
    holds = ConversationDialect.holds | {"regions"}

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row is a conversation whose answer is a fenced list of objects or `None`, or whose question is the official one."""
        del container
        turns = first_turns(value)
        if turns is None or parse_shape(turns[1]) is not None:
            return False
        return _asks_for_labels(*turns) or (_is_objects(turns[1]) and not is_unfenced_answer(turns[1]))

    def read_objects(
        self, question: str, objects: Sequence[ObjectAnswer], present: list[Region], images: int
    ) -> Reading:
        """Return the image's phrases: those with a box, then those that were asked for and are absent."""
        labels = parse_ovd_question(question)
        if labels is None:
            reading = Reading({"instruction": plain_question(question), "regions": tuple(present)}, is_complete=False)
            return reading if present else Reading({"instruction": plain_question(question)}, is_complete=False)
        found = {item.label for item in objects}
        absent = [Region(phrase=label) for label in labels if label not in found]
        is_official = question == question_with_images(format_ovd_question(labels), images)
        return Reading({"regions": (*present, *absent)}, is_complete=is_official and len(set(labels)) == len(labels))

    def asks_the_same(self, record: Record) -> bool:
        """Say whether the labels are those that were asked for."""
        read = record.origin.record if record.origin is not None else record
        return super().asks_the_same(record) and set(_labels(read)) == set(_labels(record))

    def question(self, record: Record) -> str:
        """Return the official detection question, or the record's own instruction."""
        labels = _labels(record)
        if record.instruction is not None and record.referring is None:
            return plain_question(record.instruction)
        return format_ovd_question([require_unreserved(label, IMAGE_MARK) for label in labels])

    def answer(
        self, record: Record, context: WriteContext, own: Mapping[str, Any] | None
    ) -> tuple[Any, dict[str, Any]]:
        """Return the fenced objects, or `None`; a row of one box keeps its own kind."""
        own_answer = None if own is None else own["conversations"][1]["value"]
        if parse_box_answer(own_answer) is not None:
            return box_answer(record, context, own_answer), {}
        regions = _asked_regions(record)
        if not regions:
            raise RecordError(
                "the image has no phrase to ask for", code="no-phrase", fix="drop it with --on-error drop"
            )
        name = "regions" if record.regions else "answers"
        if record.instruction is not None and record.referring is None:  # a question of its own names no labels
            context.losses.lost(f"{name}.absent", sum(region.is_absent for region in regions))
        return objects_answer(regions, name, record, context, own_answer), {}


def is_vlmr1_row(value: Mapping[str, Any]) -> bool:
    """Say whether a conversation can only be VLM-R1's: by an official question, a key of its own, or a bare answer."""
    turns = first_turns(value)
    if turns is None:
        return False
    question, answer = turns
    is_bare = parse_box_answer(answer) is not None or parse_shape(answer) is not None
    is_none = isinstance(answer, str) and without_answer_tags(answer) == NONE
    is_asked = any(
        parse(question) is not None for parse in (parse_rec_question, parse_ovd_question, parse_seg_question)
    )
    return "accu_reward_method" in value or is_bare or is_none or is_asked


def _asks_for_labels(question: str, answer: Any) -> bool:
    """Say whether a row is one of detection whatever its answer: a missing fence is a defect of the row, not another layout."""
    return parse_ovd_question(question) is not None and parse_box_answer(answer) is None


def _is_objects(answer: Any) -> bool:
    return isinstance(answer, str) and (without_answer_tags(answer) == NONE or FENCED.search(answer) is not None)


def _read_box(question: str, numbers: list[float], images: tuple[ImageRef, ...], context: ReadContext) -> Reading:
    expression = parse_rec_question(question)
    box = context.box(numbers, images[0] if images else None)
    if expression is None:
        fields = {"instruction": plain_question(question), "answers": (Region(box=box),)}
        return Reading(fields, is_complete=question == question_with_images(plain_question(question), len(images)))
    official = question_with_images(REC_START + expression + REC_END, len(images))
    fields = {"referring": expression, "answers": (Region(phrase=expression, box=box),)}
    return Reading(fields, is_complete=question == official)


def _region(item: ObjectAnswer, image: ImageRef | None, context: ReadContext) -> Region:
    return Region(
        phrase=item.label, box=context.box(item.box, image), extra=extra_keys(item.value, ("bbox_2d", "label"))
    )


def _asked_regions(record: Record) -> tuple[Region, ...]:
    """Return the image's phrases, or the expression as the phrase of its answers, absent if nothing answers it."""
    if record.regions or record.referring is None:
        return record.regions or record.answers
    phrase = record.referring
    named = (region if region.phrase == phrase else replace(region, phrase=phrase) for region in record.answers)
    return tuple(named) or (Region(phrase=phrase),)


def _labels(record: Record) -> list[str]:
    """Return the distinct phrases in order of first appearance."""
    return list(dict.fromkeys(region.phrase for region in _asked_regions(record) if region.phrase is not None))


def box_answer(record: Record, context: WriteContext, own: Any) -> Any:
    """Return the record's one box in the target's frame: a list, or text if `own` is text; raises RecordError."""
    if len(record.answers) != 1:
        raise RecordError(
            "VLM-R1's REC reward scores exactly one box for an expression",
            code="one-answer-needed",
            found=f"{len(record.answers)} answers",
            expected="one box",
            fix="write detection rows with --for vlmr1-ovd, or leave such rows out with --on-error drop",
        )
    (region,) = record.answers
    if region.box is None:
        raise _no_box()
    context.losses.lost("answers.phrase", int(region.phrase not in (None, record.referring)))
    numbers = context.box_numbers(region.box, record, "answers.box", region.image)
    return replace_list(own, numbers) if isinstance(own, str) else list(numbers)


def objects_answer(regions: Sequence[Region], name: str, record: Record, context: WriteContext, own: Any) -> str:
    """Return regions as a fenced answer in the target's frame, `None` if all are absent; raises RecordError.

    Args:
        regions: those to write, absent ones included.
        name: the field that they come from, for the loss report.
        record: theirs.
        context: the target.
        own: the answer that was read, whose text around the fence is kept.
    """
    objects = []
    for region in regions:
        if region.phrase is None and own is None:
            raise RecordError("a region has no phrase, which a detection answer needs", code="no-phrase")
        if region.box is None:
            if not region.is_absent:
                raise _no_box()
            continue
        value: dict[str, Any] = {"bbox_2d": context.box_numbers(region.box, record, f"{name}.box", region.image)}
        if region.phrase is not None:
            value["label"] = require_unreserved(region.phrase, FENCE, *ANSWER_TAGS)
        objects.append(value | (dict(region.extra) if own is not None else {}))
    if not objects or not isinstance(own, str) or not FENCED.search(own):
        return format_objects(objects)
    *_, last = FENCED.finditer(own)
    return f"{own[: last.start(1)]}\n{encode_exact(objects)}\n{own[last.end(1) :]}"


def _no_box() -> RecordError:
    return RecordError("an answer has no box, and the trainer scores boxes only", code="no-box")
