"""Defects planted among clean annotations of Rex-Omni, as JSON Lines and as a TSV, judged for its three trainers."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checks.planting import (
    HAZARDS,
    NO_DIFFERENCE,
    RAW,
    SIZE_WH,
    Defect,
    Row,
    Rows,
    clean_image,
    copy_of,
    differences,
    found,
    line_of,
    make_images,
    planted,
    raw_defects,
    spoils,
    write_lines,
)

SFT_S, SFT_U, GRPO = "rexomni-sft@478e44f", "rexomni-sft@8c474a3", "rexomni-grpo"
LABELS = ("chien", "狗", "Straße", "red car")
WHOLE = [0, 0, *SIZE_WH]


def clean(number: int, rng: random.Random) -> Row:
    """Return a row of two phrases, one of them with two boxes."""
    x, y = rng.randrange(3, 30), rng.randrange(3, 25)
    boxes = [
        [x, y + 0.5, x + 20, y + 30],
        [x + 30, y, x + rng.randrange(50, 90), y + 40.25],
        [x, y + 50, x + 60, y + 80],
    ]
    phrases = [f"{LABELS[number % 4]} {number}"] * 2 + [f"la rue {number}"]
    entries = [{"bbox": box, "phrase": phrase} for box, phrase in zip(boxes, phrases, strict=True)]
    return {"image_name": clean_image(number), "annotation": {"boxes": entries}}


def boxes(row: Row) -> list[Row]:
    entries: list[Row] = row["annotation"]["boxes"]
    return entries


def with_image(name: str, *own: list[float]) -> Callable[[Row], None]:
    """Return the change to another image; with boxes of its own, if any are given."""

    def change(row: Row) -> None:
        row["image_name"] = name
        if own:
            phrase = boxes(row)[0]["phrase"]
            row["annotation"]["boxes"] = [{"bbox": list(box), "phrase": phrase} for box in own]

    return change


def with_box(*numbers: float) -> Callable[[Row], None]:
    return lambda row: boxes(row)[2].update(bbox=list(numbers))


def with_phrase(change: Callable[[str], Any]) -> Callable[[Row], None]:
    return lambda row: boxes(row)[2].update(phrase=change(boxes(row)[2]["phrase"]))


def with_boxes(change: Callable[[list[Row]], Any]) -> Callable[[Row], None]:
    return lambda row: row["annotation"].update(boxes=change(boxes(row)))


def without(key: str) -> Callable[[Row], None]:
    return lambda row: boxes(row)[2].pop(key)


def beside(kind: str, key: str, numbers: list[float]) -> Callable[[Row], None]:
    return lambda row: row["annotation"].update({kind: [{key: numbers, "phrase": boxes(row)[0]["phrase"]}]})


def alone(annotation: Row) -> Callable[[Row], None]:
    return lambda row: row.update(annotation=annotation)


def spelled_otherwise(rows: Rows, place: int) -> None:
    for near in (place - 1, place, place + 1):
        phrase = f"ziel {place}".upper() if near == place else f"ziel {place}"
        boxes(rows[near]).append({"bbox": [9, 9, 50, 60], "phrase": phrase})


def asked_again(image: Callable[[str], str]) -> Callable[[Rows, int], None]:
    """Return the defect of a row that asks what the row before it asks, of an image with the same bytes."""

    def plant(rows: Rows, place: int) -> None:
        boxes(rows[place])[2]["phrase"] = boxes(rows[place - 1])[2]["phrase"].upper().lower()
        boxes(rows[place])[2]["bbox"] = [90, 90, 130, 130]
        rows[place]["image_name"] = image(rows[place - 1]["image_name"])

    return plant


ROWS = [
    *(spoils(code, with_image(code), "image") for code in HAZARDS),
    spoils("image-broken", with_image("image-broken"), "image"),
    spoils("size-refused", with_image("long", [3, 2.5, 60, 19])),
    spoils("box-inverted", with_box(90, 20, 10, 60), "box"),
    spoils("box-degenerate", with_box(10, 20, 10, 60), "box"),
    spoils("box-outside", with_box(10, 20, 400, 60)),
    spoils("box-shape", with_box(10, 20, 90)),
    spoils("box-shape", with_box(10, 20, 90, 60, 0.9)),
    spoils("number-range", with_box(10, 20, 1e12, 60)),
    spoils("box-collapsed", with_box(10, 20, 10.05, 60)),
    spoils("box-repeated", with_boxes(lambda entries: [*entries, dict(entries[0])])),
    spoils(
        "box-indistinct",
        with_boxes(lambda e: [*e, {"bbox": [n + 0.001 for n in e[2]["bbox"]], "phrase": e[2]["phrase"]}]),
    ),
    spoils("missing-key", without("phrase")),
    spoils("missing-key", without("bbox")),
    spoils("missing-key", lambda row: boxes(row)[0].update(box=boxes(row)[0].pop("bbox"))),
    spoils("wrong-type", with_phrase(lambda phrase: None)),
    spoils("wrong-type", with_phrase(lambda phrase: [phrase])),
    spoils("wrong-type", with_boxes(lambda entries: entries[0])),
    spoils("phrase-not-normal", with_phrase(lambda phrase: phrase.replace(" ", "_")), "words"),
    spoils("phrase-not-normal", with_phrase(lambda phrase: f"{phrase}/x"), "words"),
    spoils("phrase-not-normal", with_phrase(lambda phrase: f"{phrase}, links"), "words"),
    spoils("phrase-not-normal", with_phrase(lambda phrase: f" {phrase}"), "words"),
    spoils("phrase-not-normal", with_phrase(lambda phrase: f"{phrase}\nlinks"), "words"),
    spoils("phrase-not-normal", with_phrase(lambda phrase: f"{phrase} [OBJ]"), "words"),
    spoils("phrase-not-normal", with_phrase(lambda phrase: f"<image>{phrase}"), "words"),
    spoils("phrase-not-normal", with_phrase(lambda phrase: ""), "words"),
    spoils("text-control", with_phrase(lambda phrase: f"{phrase}\x07 links"), "words"),
    spoils("text-mojibake", with_phrase(lambda phrase: f"cafÃ© {phrase.split()[-1]}"), "words"),
    spoils("text-mark", with_phrase(lambda phrase: f"{phrase} ```"), "words"),
    spoils("text-spaces", with_phrase(lambda phrase: f"{phrase}  links"), "words"),
    spoils("list-empty", alone({"boxes": []})),
    spoils("list-missing", alone({"points": [{"point": [40, 50], "phrase": "le chat"}]})),
    Defect("labels-differ", spelled_otherwise),
    Defect("same-expression-different-answers", asked_again(str)),
    Defect("same-image-different-answers", asked_again(copy_of)),
]
ABSENT = [
    spoils("absent-not-held", lambda row: boxes(row)[2].update(bbox=None)),
    spoils("absent-not-held", with_boxes(lambda e: [{"bbox": None, "phrase": e[0]["phrase"]}])),
]
CONTRADICTED = spoils(
    "phrase-contradicted", with_boxes(lambda entries: [*entries, {"bbox": None, "phrase": entries[0]["phrase"]}])
)
POINTS, POLYGONS = beside("points", "point", [40, 50]), beside("polygons", "polygon", [9, 9, 50, 9, 50, 60])


def many(row: Row) -> None:
    """Give a row more boxes than its trainer has room for."""
    places = [(3 + 5 * (n % 30), 3 + 4 * (n // 30)) for n in range(900)]
    row["annotation"]["boxes"] = [{"bbox": [x, y, x + 4, y + 3], "phrase": "Fenster"} for x, y in places]


def of_profile(profile: str) -> list[Defect]:
    """Return the defects that only some of the trainers have, or that have another name there."""
    defects = [CONTRADICTED]
    if profile == GRPO:
        defects += [
            *ABSENT,
            spoils("keys-differ", POINTS),
            spoils("keys-differ", POLYGONS),
            spoils("answer-too-long", many, once=True),
            spoils("reward-ceiling-low", with_image("large", [100.2, 100.2, 102.0, 102.0])),
            spoils("useless-answer-scores", with_boxes(lambda e: [{"bbox": WHOLE, "phrase": e[0]["phrase"]}])),
        ]
        return defects
    if profile == SFT_S:
        defects += [*ABSENT, spoils("list-ignored", POINTS)]
    defects += [
        spoils("list-ignored", POLYGONS),
        spoils("sequence-too-long", many, once=True),
        spoils("size-refused", with_image("short", [3, 2.5, 60, 19])),
    ]
    return defects


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("é"))


@pytest.mark.parametrize("profile", [SFT_S, SFT_U, GRPO])
@pytest.mark.parametrize("seed", range(2))
def test_every_defect_of_json_lines_is_found_at_its_row_and_nothing_else(
    profile: str, seed: int, images: Path, tmp_path: Path
) -> None:
    defects = [
        *ROWS,
        *of_profile(profile),
        *raw_defects(),
        spoils("image-missing", with_image("nirgends.png"), "image"),
        spoils("image-name", with_image("../é.png")),
        spoils("image-url", with_image("https://example.org/é.png")),
        spoils("size-differs", lambda row: row.update(width=SIZE_WH[1], height=SIZE_WH[0]), "image"),
    ]
    rows, expected = planted(clean, defects, seed=seed, count=80)
    path = write_lines(tmp_path / "zeilen.jsonl", rows)
    assert differences(expected, found(path, profile, image_root=str(images))) == NO_DIFFERENCE


def in_triple(code: str, **changes: Any) -> Defect:
    """Return a defect of the three files; see `write_triple` for the names."""
    return spoils(code, lambda row: row.update(changes))


CONTAINER = [
    *(in_triple(code, spoil=spoil) for code, spoil in RAW.items()),
    in_triple("line-index", line_shift=1),
    in_triple("line-index", line_shift=10**9),
    in_triple("line-index", entry=b"zwei"),
    in_triple("line-index", entry=b""),
    in_triple("line-index", entry=b"-3"),
    in_triple("line-index", image_shift=2),
    in_triple("line-index", image_shift=10**9),
    in_triple("tsv-fields", further=b"\t1"),
    in_triple("tsv-fields", first=b"null\t"),
    in_triple("tsv-fields", first=b""),
    in_triple("image-base64", payload=b"kein base64!"),
    in_triple("image-base64", payload=base64.b64encode(b"bild")[:-1]),
    in_triple("image-broken", payload=b"b'aGFsbG8='"),
    in_triple("image-broken", payload=base64.b64encode(b"kein Bild")),
    in_triple("image-broken", payload=b""),
    Defect("crlf", lambda rows, place: rows[place].update(end=b"\r\n"), once=True),
]


def write_triple(directory: Path, rows: Rows, root: Path) -> Path:
    """Write a TSV by hand (specs/rexomni.md §1.2); rows may say what of it to spoil.

    `spoil` changes the annotation's JSON, `first` and `further` stand for its first field and behind its last one, `end` ends
    its line; `entry` is its entry of the line index, which `line_shift` moves; `payload` is the image's, and `image_shift`
    moves the place where the annotation looks for it.
    """
    images, annotations, index = bytearray(), bytearray(), bytearray()
    stored: dict[str, int] = {}
    for row in rows:
        name = row["image_name"]
        offset = stored.get(name, len(images))
        if "payload" in row or name not in stored:
            offset = len(images)
            payload = row.get("payload", base64.b64encode((root / name).read_bytes()))
            images += b"%d\t%b\n" % (offset, payload)
            if "payload" not in row:
                stored[name] = offset
        first = row.get("first", b"%d\t" % (offset + row.get("image_shift", 0)))
        index += row.get("entry", b"%d" % (len(annotations) + row.get("line_shift", 0))) + b"\n"
        text = row.get("spoil", bytes)(line_of(row["annotation"]))
        annotations += first + text + row.get("further", b"") + row.get("end", b"\n")
    for name, content in (("images.tsv", images), ("annotations.tsv", annotations), ("annotations.tsv.lineidx", index)):
        (directory / f"daten.{name}").write_bytes(content)
    return directory / "daten"


@pytest.mark.parametrize("profile", [SFT_S, SFT_U, GRPO])
@pytest.mark.parametrize("seed", range(2))
def test_every_defect_of_a_tsv_is_found_at_its_row_and_nothing_else(
    profile: str, seed: int, images: Path, tmp_path: Path
) -> None:
    defects = [*ROWS, *of_profile(profile), *CONTAINER, spoils("list-missing", alone({"boîtes": []}))]
    if profile != GRPO:
        defects.append(
            spoils("size-differs", lambda r: r["annotation"].update(width=SIZE_WH[1], height=SIZE_WH[0]), "image")
        )
    rows, expected = planted(clean, defects, seed=seed, count=80)
    path = write_triple(tmp_path, rows, images)
    assert differences(expected, found(path, profile)) == NO_DIFFERENCE


def test_oddities_of_the_files_as_a_whole_are_each_found_once(images: Path, tmp_path: Path) -> None:
    rows = [clean(number, random.Random(number)) for number in range(9)]
    path = write_triple(tmp_path, rows, images)
    index = tmp_path / "daten.annotations.tsv.lineidx"
    annotations = tmp_path / "daten.annotations.tsv"
    index.write_bytes(b"\xef\xbb\xbf" + index.read_bytes())
    annotations.write_bytes(annotations.read_bytes()[:-1])
    assert found(path, SFT_U) == [("bom", 1), ("no-line-end", 0)]
    index.unlink()
    assert found(path, SFT_U) == [("no-line-end", 0), ("no-lineidx", 0)]
