"""Images: there, whole, of the size that the data claims, upright, and such that every loader sees what a person sees.

A loader makes RGB of whatever it is given: it drops alpha without composing, clips 16 bits at 255, takes the first frame, and
resizes a palette to the nearest pixel if it resizes first. Nothing of that is told in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundprep.checks.base import Rule, Subject
from groundprep.checks.verdicts import Trait, Verdict
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.geometry.orientation import SWAPS_SIDES
from groundprep.geometry.resize import MAX_ASPECT_RATIO, SqrtLimit
from groundprep.profile import Profile
from groundprep.record import Record

SIZE_DIFFERS = Rule("size-differs", Severity.ERROR, "the data claims another image size than the image has")
EXIF_ROTATED = Rule(
    "exif-rotated", Severity.WARNING, "the image has an EXIF rotation, which some loaders apply and boxes do not follow"
)
TOO_DEEP = Rule("image-16-bit", Severity.WARNING, "the image has more than 8 bits a channel: loaders clip it to white")
SEE_THROUGH = Rule(
    "image-alpha", Severity.WARNING, "the image is transparent in places, where loaders show its hidden colours"
)
INKS = Rule("image-cmyk", Severity.WARNING, "the image is CMYK: loaders make RGB of it without its colour profile")
PALETTE = Rule("image-palette", Severity.WARNING, "the loader resizes the palette image to the nearest pixel")
ANIMATED = Rule("image-animated", Severity.WARNING, "the image has several frames or pages: loaders take the first")
SIDE_SHORT = Rule(
    "image-side-short", Severity.WARNING, "a side is shorter than 28 pixels, which several trainers refuse"
)
RATIO_HIGH = Rule(
    "image-ratio-high", Severity.WARNING, "one side is over 200 times the other, which every Qwen processor refuses"
)

RULES = (
    SIZE_DIFFERS,
    EXIF_ROTATED,
    TOO_DEEP,
    SEE_THROUGH,
    INKS,
    PALETTE,
    ANIMATED,
    SIDE_SHORT,
    RATIO_HIGH,
)

SHOWN_NAME = 60
"""Characters of an image's name in a finding, counted from its end."""

SHORTEST_SIDE = 28
"""Source: specs/rexomni.md §2.3 (skipped), §2.4 (raises); specs/vlmr1_easydistill.md §1.2 rule 4; transformers 4.49 and
4.51.3 smart_resize (specs/targets.md §3.0)."""

RESIZED_FIRST = ("rexthinker-parquet", "easyr1")
"""Dialects of the trainers that resize, then convert to RGB. Source: EasyR1 and Rex-Thinker process_image (specs/rexthinker.md
§3.3, §4.2); Rex-Omni converts when it opens the image (specs/rexomni.md §2.1)."""

HAZARDS: dict[Trait, tuple[Rule, str, str]] = {
    # Source: specs/rexomni.md §1.3 (16 bits, alpha, CMYK, first frame); every loader converts to RGB the same way.
    "16-bit": (TOO_DEEP, "loaders clip every value above 255, so that the image turns white", "8 bits a channel"),
    "alpha": (SEE_THROUGH, "loaders drop alpha without composing: hidden colours become visible", "an opaque image"),
    "cmyk": (INKS, "loaders make RGB of the inks without a colour profile: colours shift", "RGB"),
    "animated": (ANIMATED, "loaders take the first frame or page only", "one frame"),
}


def image_screen(subjects: Sequence[Subject]) -> list[int]:
    """Return the places of the subjects that have an image of which there is something to say."""
    return [place for place, subject in enumerate(subjects) if not _are_plain(subject)]


def _are_plain(subject: Subject) -> bool:
    for index, verdict in enumerate(subject.verdicts):
        if verdict.problem is not None or verdict.orientation != 1 or verdict.traits:
            return False
        if verdict.size_wh is None:
            continue
        short, long = sorted(verdict.size_wh)
        if short < SHORTEST_SIDE or long > MAX_ASPECT_RATIO * short:
            return False
        if declared_size_wh(subject.record, index) not in (None, verdict.size_wh):
            return False
    return True


def image_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on every image of a record; what is broken carries the code of the error that reading it raises."""
    for index, verdict in enumerate(subject.verdicts):
        if verdict.problem is not None:
            yield Finding(
                severity=Severity.ERROR,
                record=subject.record.label,
                source=str(subject.record.source),
                **verdict.problem | {"found": _in_image(subject, index, verdict.problem["found"] or "")},
            )
            continue
        yield from _size_and_orientation(subject, index, verdict)
        yield from _hazards(subject, index, verdict)
        if subject.profile is None and verdict.size_wh is not None:
            yield from _extremes(subject, index, verdict.size_wh)


def _in_image(subject: Subject, index: int, found: str) -> str:
    """Return what was found with its image's name in front; one without a name is counted, if there are several."""
    images = subject.record.images
    name = images[index].name
    if name is None:
        name = f"image {index}" if len(images) > 1 else ""
    if not name or name in found:
        return shown(found)
    return shown(f"{name if len(name) <= SHOWN_NAME else '…' + name[1 - SHOWN_NAME :]}: {found}")


def _size_and_orientation(subject: Subject, index: int, verdict: Verdict) -> Iterator[Finding]:
    """Yield one finding where size and orientation are one fault: a size that was taken from the image as viewers turn it."""
    declared_wh = declared_size_wh(subject.record, index)
    differs = declared_wh is not None and verdict.size_wh is not None and declared_wh != verdict.size_wh
    turned = False
    if differs and declared_wh is not None and verdict.size_wh is not None:
        transposed = declared_wh == verdict.size_wh[::-1]
        turned = transposed and verdict.orientation in SWAPS_SIDES
        yield subject.finding(
            SIZE_DIFFERS,
            _size_message(transposed=transposed, turned=turned),
            found=_in_image(
                subject,
                index,
                "{}x{}".format(*verdict.size_wh) + (f", orientation {verdict.orientation}" if turned else ""),
            ),
            expected="{}x{} (as declared)".format(*declared_wh),
            fix=_size_fix(transposed=transposed, turned=turned),
        )
    if verdict.orientation != 1 and not turned:
        yield subject.finding(
            EXIF_ROTATED,
            "the image has an EXIF rotation: loaders that apply it move it away under its boxes",
            found=_in_image(subject, index, f"orientation {verdict.orientation}"),
            expected="1 or none",
            fix="store the image upright: `groundprep convert --exif bake` does, and turns its boxes with it",
        )


def _size_message(*, transposed: bool, turned: bool) -> str:
    if turned:
        return "the data says the size of the image after its EXIF rotation, and the pixels are stored unturned"
    if transposed:
        return "the data says the image's width and height the wrong way round"
    return "the image has another size than the data says"


def _size_fix(*, transposed: bool, turned: bool) -> str:
    if turned:
        return "store the image upright, if the boxes were drawn on it upright"
    if transposed:
        return "exchange width and height, and check that the boxes are not transposed too"
    return "the boxes may belong to a resized copy: find the original image"


def _hazards(subject: Subject, index: int, verdict: Verdict) -> Iterator[Finding]:
    for trait in verdict.traits:
        if trait in HAZARDS:
            rule, message, expected = HAZARDS[trait]
            found = _in_image(subject, index, trait)
            yield subject.finding(rule, message, found=found, expected=expected, fix="save the image as 8-bit RGB")
        elif verdict.size_wh is not None and _is_resized_first(verdict.size_wh, subject.profile):
            yield subject.finding(
                PALETTE,
                "the loader resizes before it converts to RGB, and a palette is resized to the nearest pixel",
                found=_in_image(subject, index, "{}x{} with a palette".format(*verdict.size_wh)),
                expected="RGB",
                fix="save the image as 8-bit RGB",
            )


def _is_resized_first(size_wh: SizeWH, profile: Profile | None) -> bool:
    """Say whether the trainer's loader resizes this image before it converts it."""
    if profile is None or profile.dialect not in RESIZED_FIRST or not isinstance(profile.chain.steps[0], SqrtLimit):
        return False
    if profile.dialect == "rexomni":  # converted when it is read (specs/rexomni.md §2.1)
        return False
    low, high = profile.chain.steps[0].min_pixels, profile.chain.steps[0].max_pixels
    area = size_wh[0] * size_wh[1]
    return (high is not None and area > high) or (low is not None and area < low)


def _extremes(subject: Subject, index: int, size_wh: SizeWH) -> Iterator[Finding]:
    """Yield what some trainer refuses; with a trainer named, its own resize chain decides (`size-refused`)."""
    found = _in_image(subject, index, "{}x{}".format(*size_wh))
    if max(size_wh) > MAX_ASPECT_RATIO * min(size_wh):
        yield subject.finding(
            RATIO_HIGH,
            "one side is far longer than the other: trainers stop at such an image",
            found=found,
            expected=f"a ratio of at most {MAX_ASPECT_RATIO}",
            fix="crop or drop the image, or name the trainer with --for",
        )
    elif min(size_wh) < SHORTEST_SIDE:
        yield subject.finding(
            SIDE_SHORT,
            "a side is shorter than a patch of the model: several trainers refuse or skip the image",
            found=found,
            expected=f"both sides >= {SHORTEST_SIDE}",
            fix="enlarge or drop the image, or name the trainer with --for",
        )


def declared_size_wh(record: Record, index: int) -> SizeWH | None:
    """Return the (width, height) that the data claims for one of a record's images, or None."""
    return record.declared_size_wh(index)
