"""Image sizes that the trainer's resize chain refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundprep.checks.base import Rule, Subject
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.geometry.resize import SizeRefusedError
from groundprep.profile import Profile

SIZE_REFUSED = Rule("size-refused", Severity.ERROR, "the trainer's resize refuses the image's size")


def size_findings(subject: Subject) -> Iterator[Finding]:
    """Yield an error for every image whose size the profile's resize chain refuses."""
    for size_wh in subject.sizes_wh:
        if size_wh is None or subject.profile is None:
            continue
        try:
            subject.profile.seen_wh(size_wh)
        except SizeRefusedError as error:
            yield subject.finding(
                SIZE_REFUSED, error.message, found=error.found, expected=error.expected, fix=error.fix
            )


def size_screen(subjects: Sequence[Subject]) -> list[int]:
    """Return the places of the subjects with such an image; a batch has one trainer, and its images share a few sizes."""
    profile = subjects[0].profile if subjects else None
    if profile is None:
        return []
    sizes_wh = {size_wh for subject in subjects for size_wh in subject.sizes_wh if size_wh is not None}
    refused = {size_wh for size_wh in sizes_wh if refuses(profile, size_wh)}
    return [place for place, subject in enumerate(subjects) if refused and not refused.isdisjoint(subject.sizes_wh)]


def refuses(profile: Profile, size_wh: SizeWH) -> bool:
    """Say whether the profile's resize chain refuses images of this stored (width, height)."""
    try:
        profile.seen_wh(size_wh)
    except SizeRefusedError:
        return True
    return False
