"""Annotation files that no trainer loads, or not in this form: they are where data comes from. Boxes in stored pixels."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.spec_readers.facts import Fact, SpecRow, StoredImage, exact, file_image, stored_image
from tests.spec_readers.rexomni import lines, named


def read_rexthinker(path: Path, root: Path) -> list[SpecRow]:
    """`image_name, referring, ans, candidate_boxes` (specs/rexthinker.md §1.2, §1.5; design.md for several and none)."""
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if path.suffix == ".json" else _lines(text)
    return [_rexthinker_row(row, number, root) for number, row in enumerate(rows, start=1)]


def _rexthinker_row(row: dict[str, Any], number: int, root: Path) -> SpecRow:
    image, phrase = file_image(root / row["image_name"]), row["referring"]
    ans = row["ans"] if not row["ans"] or isinstance(row["ans"][0], list) else [row["ans"]]
    facts = [exact(image.key, phrase, "box", box) for box in ans] or [Fact(image.key, phrase, "absent")]
    facts += [exact(image.key, phrase, "candidate", c["bbox"]) for c in row.get("candidate_boxes", [])]
    return SpecRow(number, tuple(facts), image)


def read_rexomni(path: Path, root: Path) -> list[SpecRow]:
    """`image_name, annotation`: what Rex-Omni's converter takes (specs/rexomni.md §1.1, §1.5)."""
    rows = []
    for number, row in enumerate(_lines(path.read_text(encoding="utf-8")), start=1):
        image = file_image(root / row["image_name"])
        rows.append(SpecRow(number, tuple(_entries(row["annotation"], image)), image))
    return rows


def read_tsv(prefix: Path) -> list[SpecRow]:
    """The same in a TSV, whatever a trainer would say to its nulls, points and polygons."""
    images = [(place, stored_image(data), annotation) for place, data, annotation in lines(prefix)]
    return [SpecRow(place, tuple(_entries(annotation, image)), image) for place, image, annotation in images]


def _entries(annotation: dict[str, Any], image: StoredImage) -> Iterator[Fact]:
    for kind, key, name in (("boxes", "bbox", "box"), ("points", "point", "point"), ("polygons", "polygon", "polygon")):
        for entry in annotation.get(kind, []):
            numbers = entry[key]
            absent = Fact(image.key, named(entry), "absent")
            yield absent if numbers is None else exact(image.key, named(entry), name, numbers)  # type: ignore[arg-type]


def read_humanref(prefix: Path) -> list[SpecRow]:
    """`gt_boxes` (xywh), `region_map` counting from 0 (specs/rexthinker.md §5.1)."""
    rows = []
    for place, data, annotation in lines(prefix):
        image = stored_image(data)
        boxes = [(x, y, x + w, y + h) for x, y, w, h in annotation["gt_boxes"]]
        facts = []
        for phrase, indices in annotation["region_map"].items():
            facts += [exact(image.key, phrase, "box", boxes[i]) for i in indices] or [Fact(image.key, phrase, "absent")]
            facts += [exact(image.key, phrase, "candidate", box) for box in boxes]
        rows.append(SpecRow(place, tuple(facts), image))
    return rows


def read_engine(path: Path, root: Path) -> list[SpecRow]:
    """`image, caption, phrases` with boxes (specs/rexomni.md §8.2)."""
    rows = []
    for number, row in enumerate(_lines(path.read_text(encoding="utf-8")), start=1):
        image = file_image(root / row["image"])
        found = [exact(image.key, p["phrase"], "box", b["bbox"]) for p in row["phrases"] for b in p["boxes"]]
        rows.append(SpecRow(number, tuple(found), image))
    return rows


def read_eval(path: Path, root: Path) -> list[SpecRow]:
    """`gt`: boxes, points, polygons or masks by category; a category without any is absent (specs/rexomni.md §9)."""
    rows = []
    for number, row in enumerate(_lines(path.read_text(encoding="utf-8")), start=1):
        image, gt = file_image(root / row["image_path"]), row["gt"]
        truth = gt if isinstance(gt, dict) else {row["categories"][0]: [gt]}
        facts = [_shape(image, category, entry) for category, entries in truth.items() for entry in entries]
        facts += [Fact(image.key, category, "absent") for category in row["categories"] if category not in truth]
        rows.append(SpecRow(number, tuple(facts), image))
    return rows


def _shape(image: StoredImage, category: str, entry: Any) -> Fact:
    if isinstance(entry, dict):
        return Fact(image.key, category, "mask")
    return exact(image.key, category, {2: "point", 4: "box"}.get(len(entry), "polygon"), entry)  # type: ignore[arg-type]


def read_vlmr1_refcoco(path: Path, root: Path) -> list[SpecRow]:
    """`normal_caption`, `solution`: xyxy, floats (specs/vlmr1_easydistill.md §1.3)."""
    rows = []
    for number, row in enumerate(json.loads(path.read_text(encoding="utf-8")), start=1):
        image = file_image(root / row["image"])
        rows.append(SpecRow(number, (exact(image.key, row["normal_caption"], "box", row["solution"]),), image))
    return rows


def read_coco(path: Path, root: Path) -> list[SpecRow]:
    """Images in the order of the document, each with its annotations (specs/targets.md §3.8; LVIS: `coco_url`, negatives)."""
    document = json.loads(path.read_text(encoding="utf-8"))
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    rows = []
    for number, entry in enumerate(document["images"], start=1):
        name = entry.get("file_name") or "/".join(entry["coco_url"].split("/")[-2:])
        image = file_image(root / name)
        facts: list[Fact] = []
        for annotation in document["annotations"]:
            if annotation["image_id"] == entry["id"]:
                category = names[annotation["category_id"]]
                facts += _annotated(image, annotation.get("phrase", category), category, annotation)
        facts += [Fact(image.key, names[key], "absent") for key in entry.get("neg_category_ids", [])]
        rows.append(SpecRow(number, tuple(facts), image))
    return rows


def _annotated(image: StoredImage, phrase: str, category: str, annotation: dict[str, Any]) -> Iterator[Fact]:
    x, y, w, h = annotation["bbox"]
    yield replace(exact(image.key, phrase, "box", (x, y, x + w, y + h)), category=category)
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list) and segmentation:
        yield exact(image.key, phrase, "polygon", segmentation[0])
    elif isinstance(segmentation, dict):
        yield Fact(image.key, phrase, "mask")


def read_refcoco(path: Path, root: Path) -> list[SpecRow]:
    """`refs(*).p` beside `instances.json`; a row is a sentence (specs/targets.md §3.10). The pickles are our own."""
    refs = pickle.loads(path.read_bytes(), encoding="latin-1")
    document = json.loads((path.parent / "instances.json").read_text(encoding="utf-8"))
    images = {entry["id"]: file_image(root / entry["file_name"]) for entry in document["images"]}
    annotations = {entry["id"]: entry for entry in document["annotations"]}
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    rows = []
    for number, ref in enumerate(refs, start=1):
        for part, sentence in enumerate(ref["sentences"], start=1):
            image, annotation = images[ref["image_id"]], annotations[ref["ann_id"]]
            facts = _annotated(image, _utf8(sentence["sent"]), names[annotation["category_id"]], annotation)
            rows.append(SpecRow(number, tuple(facts), image, {"part": part}))
    return rows


def _utf8(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8")


def _lines(text: str) -> Iterable[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
