"""All checks, and all codes that `validate` may report: what `--select` and `--ignore` know."""

from __future__ import annotations

from collections.abc import Iterator

from groundprep.checks import boxes, files, frames, images, rexomni_rows, training_rows
from groundprep.checks.base import Check, Rule, Subject
from groundprep.dialects.trl import SCORED_ROWS
from groundprep.finding import Finding, Severity
from groundprep.geometry.resize import SizeRefusedError
from groundprep.profile import Profile

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

ROWS = (
    Rule(
        "answer-not-candidate",
        _ERROR,
        "an answer is none of the row's candidates, and the target names answers by candidate",
    ),
    Rule("bad-answer", _ERROR, "the answer of a training row cannot be read"),
    Rule("bad-hint", _ERROR, "the hint of a training row cannot be read"),
    Rule("bad-json", _ERROR, "the row is not JSON"),
    Rule("bad-utf8", _ERROR, "the row is not UTF-8"),
    Rule("box-shape", _ERROR, "a box is not four numbers"),
    Rule("citation-lost", _ERROR, "the reasoning cites a candidate that is no longer there"),
    Rule(
        "citation-unclear", _ERROR, "candidates would move, and the text cites them in a form that cannot be rewritten"
    ),
    Rule("frame-fixed", _ERROR, "free text holds coordinates, which cannot follow into another frame"),
    Rule("gt-shape", _ERROR, "an entry of gt has no known shape"),
    Rule("image-needed", _ERROR, "the row has no image, or not the number of images that it needs"),
    Rule("label-needed", _ERROR, "a phrase is none of the labels that the trainer knows"),
    Rule("line-index", _ERROR, "a byte offset of a TSV does not lead to the start of a line"),
    Rule("lone-surrogate", _ERROR, "a string holds half of a surrogate pair"),
    Rule("mask-broken", _ERROR, "a mask cannot be decoded"),
    Rule("mask-size", _ERROR, "a mask has another size than its image"),
    Rule("mask-empty", _ERROR, "a mask has no pixel"),
    Rule("missing-key", _ERROR, "a key that the dialect needs is missing"),
    Rule("negative-not-held", _ERROR, "the target's answers cannot say that nothing is there"),
    Rule("no-box", _ERROR, "an answer has no box, and the target holds boxes only"),
    Rule("no-expression", _ERROR, "the row has no expression to ask for"),
    Rule("no-mask", _ERROR, "an answer has neither mask nor polygon, and the target holds shapes"),
    Rule("no-phrase", _ERROR, "the row has no phrase to ask for"),
    Rule("not-finite", _ERROR, "NaN, Infinity, or a number too large to hold"),
    Rule("not-json", _ERROR, "the row cannot be written as JSON"),
    Rule("number-range", _ERROR, "a coordinate is far beyond every image"),
    Rule("one-answer-needed", _ERROR, "the row has several answers or none, and the trainer scores exactly one"),
    Rule("phrase-not-in-caption", _ERROR, "a phrase is not in the row's caption"),
    Rule("point-shape", _ERROR, "a point is not two numbers"),
    Rule("polygon-shape", _ERROR, "a polygon has fewer than three points"),
    Rule("prompt-shape", _ERROR, "a GRPO prompt has not exactly one user message"),
    Rule("record", _ERROR, "the row cannot be carried"),
    Rule("region-index", _ERROR, "a region_map names a box that is not there"),
    Rule("reserved-text", _ERROR, "a text holds what the trainer takes for a mark of its own"),
    Rule("row-not-object", _ERROR, "the row is not a JSON object"),
    Rule("row-too-long", _ERROR, "the row is longer than the cap"),
    Rule("schema", _ERROR, "the row's columns are not those of the format"),
    Rule("too-deep", _ERROR, "the JSON is nested too deeply"),
    Rule("tsv-fields", _ERROR, "a line of a TSV has another number of fields"),
    Rule("wrong-type", _ERROR, "a value has another type than the dialect needs"),
)
"""What makes one row undeliverable: readers and dialects find it, in every command."""

CONTAINERS = (
    Rule("blank-line", _WARNING, "a blank line among the rows"),
    Rule("bom", _WARNING, "the file starts with a byte order mark"),
    Rule("crlf", _WARNING, "lines end with CRLF"),
    Rule("misnamed", _WARNING, "the extension says another container than the content"),
    Rule("no-lineidx", _WARNING, "a TSV without its line index"),
)
"""Oddities that readers accept."""

IMAGES = (
    Rule("image-base64", _ERROR, "an image payload is not base64"),
    Rule("image-broken", _ERROR, "an image cannot be opened or decoded"),
    Rule("image-missing", _ERROR, "an image file cannot be read"),
    Rule("image-name", _ERROR, "an image name is empty or leaves the image root"),
    Rule("image-too-large", _ERROR, "an image is above the caps on bytes or pixels"),
    Rule("image-url", _ERROR, "an image is a URL"),
    images.SIZE_DIFFERS,
    images.EXIF_ROTATED,
)

BOXES = (
    Rule("box-inverted", _ERROR, "a box ends before it starts"),
    Rule("box-degenerate", _ERROR, "a box has no area"),
    Rule("box-outside", _ERROR, "a box lies outside its image"),
    Rule("point-outside", _ERROR, "a point or polygon lies outside its image"),
    Rule("box-repeated", _WARNING, "a phrase's box is stated twice"),
)

EXPRESSION_EMPTY = Rule("expression-empty", _ERROR, "the expression holds no word")

SIZES = (Rule("size-refused", _ERROR, "the trainer's resize refuses the image's size"),)


def _box_findings(subject: Subject) -> Iterator[Finding]:
    yield from boxes.box_findings(subject.record, *subject.sizes_wh, severity=_ERROR)
    yield from boxes.point_findings(subject.record, *subject.sizes_wh)
    yield from boxes.repeated_box_findings(subject.record)


def _expression_findings(subject: Subject) -> Iterator[Finding]:
    """Yield an error for an expression without a word."""
    if subject.record.referring is not None and not subject.record.referring.strip():
        yield subject.finding(
            EXPRESSION_EMPTY,
            "the expression is empty",
            found=repr(subject.record.referring),
            expected="words to be grounded",
            fix="write the expression, or drop the row",
        )


def _size_findings(subject: Subject) -> Iterator[Finding]:
    """Yield an error for every image whose size the profile's resize chain refuses."""
    for size_wh in subject.sizes_wh:
        if size_wh is None or subject.profile is None:
            continue
        try:
            subject.profile.seen_wh(size_wh)
        except SizeRefusedError as error:
            yield subject.finding(SIZES[0], error.message, found=error.found, expected=error.expected, fix=error.fix)


def _is_training(profile: Profile) -> bool:
    return profile.dialect in SCORED_ROWS


def _is_rexomni(profile: Profile) -> bool:
    return profile.dialect == "rexomni"


def _holds_no_absence(profile: Profile) -> bool:
    return not profile.holds_absent


CHECKS: tuple[Check, ...] = (
    Check("rows", ROWS),
    Check("containers", CONTAINERS),
    Check("ids", (Rule("repeated-id", _WARNING, "a record has the id of an earlier one"),)),
    Check("images", IMAGES, images.image_findings),
    Check("boxes", BOXES, _box_findings),
    Check("frames", (frames.FRAME_CONTRADICTED,)),
    Check("profile", files.RULES, applies=_is_training),
    Check("expressions", (EXPRESSION_EMPTY,), _expression_findings),
    Check("sizes", SIZES, _size_findings),
    Check("training rows", training_rows.RULES, training_rows.training_row_findings, _is_training),
    Check("phrases", (rexomni_rows.PHRASE_NOT_NORMAL,), rexomni_rows.phrase_findings, _is_rexomni),
    Check("absences", (rexomni_rows.ABSENT_NOT_HELD,), rexomni_rows.absent_findings, _holds_no_absence),
    Check("keys", (rexomni_rows.KEYS_DIFFER,), applies=lambda profile: profile.name == rexomni_rows.GRPO),
)

RULES: dict[str, Rule] = {rule.code: rule for check in CHECKS for rule in check.rules}


def record_findings(subject: Subject) -> Iterator[Finding]:
    """Yield what the checks find that look at the record as it was read."""
    for check in CHECKS:
        if check.run is not None and check.applies is None:
            yield from check.run(subject)


def trainer_findings(subject: Subject, profile: Profile) -> Iterator[Finding]:
    """Yield what the checks find that look at a row as the trainer will read it."""
    for check in CHECKS:
        if check.run is not None and check.applies is not None and check.applies(profile):
            yield from check.run(subject)
