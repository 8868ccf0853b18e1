"""What records say, taken apart, so that two data sets of whatever layout can be compared with what a loss report declares.

A statement is one value in one field, about the bytes of its images and, where it belongs to one, a phrase. Names are those of
the loss report; `answers` and `regions` are one thing here: an expression's answers and an image's regions of that phrase.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from groundprep.image_loader import ImageLoader
from groundprep.record import Header, Record, Region

ROLES = {"user": "asker", "human": "asker", "assistant": "answerer", "gpt": "answerer"}
"""The two sides of a conversation have other names in every layout; that is no loss."""

GEOMETRY = ("box", "point", "polygon", "mask", "keypoints")
EXACT_PX = 1e-9

SHAPE_KEYS = ("centre", "coeffs", "size", "polygon", "polygons", "mask_path")
VERBATIM = ("vlmr1", "vlmr1-ovd", "vlmr1-seg")
"""Layouts that keep the words of a question and answer beside what they mean."""
DERIVED = {"vlmr1-seg": ("solution", "mask_iou")}
"""Numbers of a Chebyshev shape, which stand for its outline; where that is rounded they are other ones."""


class Statement(NamedTuple):
    """One value: in which field, of which images (by their bytes), about which phrase."""

    field: str
    images: tuple[str, ...]
    phrase: str | None
    value: Any


Losses = Mapping[str, Mapping[str, Any]]


def statements_of(records: Iterable[Record], loader: ImageLoader) -> list[Statement]:
    """Return all that the records say."""
    return [statement for record in records for statement in _of_record(record, loader)]


def header_statements(header: Header) -> list[Statement]:
    """Return what a data set says once: notes, licences, the table of categories."""
    said = [Statement("header.info", (), None, (key, _frozen(item))) for key, item in header.info.items()]
    said += [Statement("header.licences", (), None, _frozen(licence)) for licence in header.licences]
    said += [Statement(f"header.{key}", (), None, _frozen(value)) for key, value in header.extra.items()]
    for identity, name in header.categories.items():
        entry = header.category_entries.get(identity, {})
        said.append(Statement("header.categories", (), None, (identity, name, _frozen(entry))))
    return said


def undeclared(before: Sequence[Statement], after: Sequence[Statement], *reports: Losses) -> list[str]:
    """Return what changed between two lists of statements and none of the loss reports declares."""
    report = _Declared(reports)
    problems: list[str] = []
    fields = dict.fromkeys(statement.field for statement in (*before, *after))
    for field in fields:
        left = [statement for statement in before if statement.field == field]
        right = [statement for statement in after if statement.field == field]
        missing, invented = (_geometry if field in (*GEOMETRY, "candidate") else _plain)(left, right, report)
        if len(missing) > report.allowed(field, "lost", "renamed", "rounded"):
            problems += [f"gone and not declared: {_shown(statement)}" for statement in missing]
        if len(invented) > report.allowed(field, "renamed", "rounded", "added"):
            problems += [f"made up and not declared: {_shown(statement)}" for statement in invented]
    return problems


class _Declared:
    """What the reports of one or more conversions declare, by field."""

    def __init__(self, reports: Sequence[Losses]) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.error_px: dict[str, float] = defaultdict(float)
        for report in reports:
            for name, loss in report.items():
                field = _field_of(name)
                self.counts[field].update({kind: loss[kind] for kind in ("lost", "renamed", "rounded", "added")})
                self.error_px[field] += loss["largest_error_px"]

    def allowed(self, field: str, *kinds: str) -> int:
        """Return how many values of a field may have changed."""
        implied = ("region", "region.absent") if field.startswith("region.extra.") else IMPLIED.get(field, ())
        return sum(self.counts[name][kind] for name in (field, *implied) for kind in kinds)

    def tolerance_px(self, field: str) -> float:
        """Return by how many pixels a geometry may have moved: millionths are not reported."""
        error_px = self.error_px[field]
        return error_px + 2e-6 if error_px else EXACT_PX


IMPLIED = {
    **dict.fromkeys(GEOMETRY, ("region", "region.repeated")),
    "polygon": ("region", "region.repeated", "mask"),  # a mask that was rounded to an outline comes back as one
    "absent": ("region", "region.repeated", "region.absent"),
    "region.polygon.rings": ("region", "polygon"),
    "referring": ("region", "region.absent"),
    "candidate": ("candidates",),
    **{f"candidates.{part}": ("candidates",) for part in ("score", "detector", "extra")},
    "candidates.phrase": ("candidates", "category"),
    "extra.image_id": ("id",),
    "id": ("extra.image_id",),
}
"""Field → further fields whose loss takes it along."""

RENAMED_PARTS = {f"{role}.{part}": part for role in ("answers", "regions") for part in GEOMETRY}
RENAMED = RENAMED_PARTS | {
    "answers": "region",
    "regions": "region",
    "candidates.box": "candidate",
    "answers.category": "category",
    "regions.category": "category",
}


def _field_of(name: str) -> str:
    """Return the statement's field for a name of the loss report."""
    if name in RENAMED:
        return RENAMED[name]
    if name.startswith("images.extra."):  # further keys of an image and of its row are one thing
        return name.removeprefix("images.")
    for role in ("answers", "regions"):
        if name.startswith(f"{role}."):
            return f"region.{name.removeprefix(role + '.')}"
    return name


def _of_record(record: Record, loader: ImageLoader) -> Iterator[Statement]:
    said = partial(_statement, tuple(hashlib.sha256(loader.read(ref)).hexdigest()[:12] for ref in record.images))
    yield said("image", True)
    if record.id is not None:
        yield said("id", record.id)
    yield from _of_images_and_keys(record, said)
    if record.instruction is not None:
        yield said("instruction", record.instruction)
    for turn in record.turns if record.instruction is None or _dialect(record) not in VERBATIM else ():
        yield said("turns", (ROLES.get(turn.role, turn.role), turn.text.replace("<image>", "").lstrip("\n")))
    if record.category not in (None, record.referring):
        yield said("category", record.category)
    yield from _of_candidates(record, said)
    yield from _of_phrases(record, said)


def _statement(images: tuple[str, ...], field: str, value: Any, phrase: str | None = None) -> Statement:
    return Statement(field, images, phrase, value)


def _dialect(record: Record) -> str | None:
    return None if record.origin is None else record.origin.dialect


def _of_images_and_keys(record: Record, said: Any) -> Iterator[Statement]:
    for ref in record.images:
        if ref.name is not None:
            yield said("images.name", ref.name)
        yield from (said(f"extra.{key}", _frozen(value)) for key, value in ref.extra.items())
    derived = DERIVED.get(_dialect(record) or "", ())
    yield from (said(f"extra.{key}", _frozen(value)) for key, value in record.extra.items() if key not in derived)


def _of_phrases(record: Record, said: Any) -> Iterator[Statement]:
    if record.referring is not None:
        yield said("referring", True, record.referring)
        if not record.answers:
            yield said("absent", True, record.referring)
    for region in record.answers:
        yield from _of_region(region, record.referring, said)
        if region.phrase not in (None, record.referring):
            yield said("region.phrase", region.phrase, record.referring)
    for region in record.regions:
        yield from _of_region(region, region.phrase, said)
        if region.phrase is not None:
            yield said("referring", True, region.phrase)


def _of_candidates(record: Record, said: Any) -> Iterator[Statement]:
    if record.candidates is None:
        return
    phrase = record.referring
    if not record.candidates:
        yield said("candidates", "none was found", phrase)
    for candidate in record.candidates:
        yield said("candidate", candidate.box.xyxy, phrase)
        place = tuple(candidate.box.xyxy)
        called = (
            candidate.phrase,
            record.category,
            phrase,
        )  # a candidate without words of its own is called by the record's
        yield said("candidates.phrase", next((word for word in called if word is not None), None), phrase)
        for name in ("score", "detector"):
            if getattr(candidate, name) is not None:
                yield said(f"candidates.{name}", getattr(candidate, name), phrase)
        if candidate.extra:
            yield said("candidates.extra", (place, _frozen(candidate.extra)), phrase)


def _of_region(region: Region, phrase: str | None, said: Any) -> Iterator[Statement]:
    if region.is_absent:
        yield said("absent", True, phrase)
    if region.box is not None:
        yield said("box", region.box.xyxy, phrase)
    if region.point is not None:
        yield said("point", region.point.xy, phrase)
    if region.polygon is not None:
        first, *further = region.polygon.rings
        yield said("polygon", first, phrase)
        yield from (said("region.polygon.rings", ring, phrase) for ring in further)
    if region.keypoints is not None:
        yield said("keypoints", tuple(n for point in region.keypoints.points for n in point), phrase)
    if region.mask is not None:
        yield said("mask", (region.mask.size_hw, region.mask.counts, region.mask.path), phrase)
    if region.category not in (None, phrase):
        yield said("category", region.category)
    keys = ((key, value) for key, value in region.extra.items() if key not in SHAPE_KEYS)
    yield from (said(f"region.extra.{key}", _frozen(value), phrase) for key, value in keys)


Gap = tuple[list[Statement], list[Statement]]


def _plain(before: Sequence[Statement], after: Sequence[Statement], report: _Declared) -> Gap:
    """Return what is missing and what is new; how often a thing is said does not count: units repeat and merge it."""
    del report
    left, right = dict.fromkeys(before), dict.fromkeys(after)
    return [s for s in left if s not in right], [s for s in right if s not in left]


def _geometry(before: Sequence[Statement], after: Sequence[Statement], report: _Declared) -> Gap:
    """Return the geometries without a partner of the same images and phrase within the declared distance."""
    if not before and not after:
        return [], []
    tolerance_px = report.tolerance_px((*before, *after)[0].field)
    repeats = before[0].field == "candidate" if before else True  # an image's candidates are those of each expression
    rest = list(dict.fromkeys(before) if repeats else before)
    invented = []
    for statement in dict.fromkeys(after) if repeats else after:
        partners = [s for s in rest if s[:3] == statement[:3] and _gap_px(s.value, statement.value) <= tolerance_px]
        if partners:
            rest.remove(min(partners, key=lambda s: _gap_px(s.value, statement.value)))
        else:
            invented.append(statement)
    return rest, invented


def _gap_px(left: Any, right: Any) -> float:
    """Return the largest distance of two lists of coordinates; those of different length are infinitely far apart."""
    if len(left) != len(right) or not all(isinstance(number, int | float) for number in (*left, *right)):
        return 0.0 if left == right else float("inf")
    return max((abs(a - b) for a, b in zip(left, right, strict=True)), default=0.0)


def _frozen(value: Any) -> Any:
    """Return a JSON value as one that can be compared and hashed: 1 is not 1.0, and True is not 1."""
    if isinstance(value, Mapping):
        return "{}", tuple((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return "[]", tuple(map(_frozen, value))
    return type(value).__name__, value


def _shown(statement: Statement) -> str:
    images = "+".join(image[:4] for image in statement.images)
    return f"{statement.field} of {statement.phrase!r} in {images}: {statement.value!r}"
