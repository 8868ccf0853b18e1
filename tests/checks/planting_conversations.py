"""What can be wrong with any row of VLM-R1's loader, whatever its answer is: file, image, turns, columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.checks.planting import (
    HAZARDS,
    LONG_WH,
    SHORT_WH,
    SIZE_WH,
    Defect,
    Row,
    Rows,
    clean_image,
    copy_of,
    raw_defects,
    spoils,
)


def conversation(number: int, question: str, answer: Any) -> Row:
    """Return a row; a name and a list of one name are the same to the loader."""
    image = clean_image(number)
    turns = [{"from": "human", "value": f"<image>{question}"}, {"from": "gpt", "value": answer}]
    return {"id": number, "image": [image] if number % 5 == 0 else image, "conversations": turns} | sized(SIZE_WH)


def sized(size_wh: tuple[int, int]) -> Row:
    return {"width": size_wh[0], "height": size_wh[1]}


def question_of(row: Row) -> str:
    """Return what is asked, without the mark."""
    text: str = row["conversations"][0]["value"]
    return text.removeprefix("<image>")


def with_row(**changes: Any) -> Callable[[Row], None]:
    return lambda row: row.update(changes)


def with_image(name: str, size_wh: tuple[int, int] = SIZE_WH, answer: Any = None) -> Callable[[Row], None]:
    """Return the change to another image; to another answer too, if one is given."""

    def change(row: Row) -> None:
        row.update(image=name, **sized(size_wh))
        if answer is not None:
            row["conversations"][1]["value"] = answer

    return change


def with_answer(answer: Any) -> Callable[[Row], None]:
    return lambda row: row["conversations"][1].update(value=answer)


def with_question(change: Callable[[str], Any]) -> Callable[[Row], None]:
    """Return the change of what is asked; the mark stays."""

    def apply(row: Row) -> None:
        changed = change(question_of(row))
        row["conversations"][0]["value"] = f"<image>{changed}" if isinstance(changed, str) else changed

    return apply


def with_turns(change: Callable[[list[Row]], list[Row]]) -> Callable[[Row], None]:
    return lambda row: row.update(conversations=change(row["conversations"]))


def asked_again(image: Callable[[str], str], answer: Any) -> Callable[[Rows, int], None]:
    """Return the defect of a row that asks what the row before it asks, of an image with the same bytes."""

    def plant(rows: Rows, place: int) -> None:
        before, row = rows[place - 1], rows[place]
        with_image(image(before["image"] if isinstance(before["image"], str) else before["image"][0]))(row)
        with_question(lambda _: question_of(before))(row)
        with_answer(answer(before) if callable(answer) else answer)(row)

    return plant


def same_id(rows: Rows, place: int) -> None:
    rows[place]["id"] = rows[place - 1]["id"]


def conversation_defects(small: Any, other: Any, no_image: str = "one-image-needed") -> list[Defect]:
    """Return the defects.

    Args:
        small: an answer that fits into the images with a short side.
        other: another answer than that of any clean row; or what makes it of the row that asked before.
        no_image: the code of a row without an image.
    """
    return [
        *raw_defects(),
        *(spoils(code, with_image(code), "image") for code in HAZARDS),
        spoils("image-broken", with_image("image-broken"), "image"),
        spoils("image-missing", with_image("nirgends.png"), "image"),
        spoils("image-name", with_image("../é.png")),
        spoils("image-name", with_image("")),
        spoils("image-url", with_image("https://example.org/é.png")),
        spoils("size-refused", with_image("short", SHORT_WH, small)),
        spoils("size-refused", with_image("long", LONG_WH, small)),
        spoils("size-differs", with_row(**sized(SIZE_WH[::-1])), "image"),
        spoils("one-image-needed", lambda row: row.update(image=[clean_image(0), clean_image(1)])),
        spoils(no_image, with_row(image=[])),
        spoils(no_image, lambda row: row.pop("image")),
        spoils("wrong-type", with_question(lambda text: [text])),
        spoils("wrong-type", with_turns(lambda turns: turns[:1])),
        spoils("wrong-type", with_row(conversations="Où ?")),
        spoils("wrong-type", with_row(image=7)),
        spoils("missing-key", lambda row: row.pop("conversations")),
        spoils("missing-key", lambda row: row["conversations"][1].pop("value")),
        spoils("turns-ignored", with_turns(lambda turns: [*turns, {"from": "human", "value": "Et alors ?"}]), "turns"),
        spoils("turns-swapped", lambda row: row["conversations"][0].update({"from": "system"}), "turns"),
        spoils("turns-swapped", lambda row: row["conversations"][1].update({"from": "user"}), "turns"),
        spoils("column-types", lambda row: row.update(id=str(row["id"])), "id", once=True),
        spoils("column-reserved", with_row(problem="Où ?"), "keys", once=True),
        spoils("column-reserved", with_row(image_path="é.png"), "keys", once=True),
        spoils("first-row-lacks", with_row(quelle="Zürich"), "keys", once=True),
        Defect("repeated-id", same_id, once=True, of_file=True),
        Defect("same-expression-different-answers", asked_again(str, other)),
        Defect("same-image-different-answers", asked_again(copy_of, other)),
    ]
