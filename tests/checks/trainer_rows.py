"""Rows as a trainer reads them, made into subjects: what the tests of attainability and alignment look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from groundprep.checks.base import Subject
from groundprep.checks.verdicts import Verdict
from groundprep.containers.base import Row
from groundprep.dialects import ReadContext, get_dialect
from groundprep.dialects.hints import format_answer, format_problem
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.profile import Profile, RowFrame
from groundprep.source import Source
from groundprep.trainers import get_profile


class Bench:
    """Makes subjects of rows about images of chosen sizes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def image(self, size_wh: tuple[int, int]) -> str:
        name = "é{}x{}.png".format(*size_wh)
        if not (self.directory / name).exists():
            Image.new("L", size_wh).save(self.directory / name)
        return name

    def subject(
        self,
        value: dict[str, Any],
        profile: str | Profile,
        *,
        frame: RowFrame | None = None,
        row: int = 1,
        dialect: str | None = None,
        **changes: Any,
    ) -> Subject:
        """Return a row as it is in its file, read in `frame`; None: the trainer's. `changes` are the profile's."""
        judged = replace(get_profile(profile) if isinstance(profile, str) else profile, **changes)
        loader = ImageLoader()
        context = ReadContext(
            ImageRoot(str(self.directory), "."), loader, RowFrame.of_profile(judged) if frame is None else frame
        )
        record = get_dialect(dialect or judged.dialect).parse(Row(Source("é.jsonl", row), value), context)
        verdicts = tuple(Verdict(loader.size_wh(ref)) for ref in record.images)
        return Subject(record, verdicts, judged, value, is_native=True)

    def hints(
        self,
        hints: list[list[float]],
        answers: list[list[float]],
        size_wh: tuple[int, int] = (640, 480),
        label: str = "le garçon",
    ) -> dict[str, Any]:
        """Return a row of EasyR1's layout."""
        objects = [{"bbox_2d": box, "label": label} for box in answers]
        return {
            "images": [self.image(size_wh)],
            "problem": format_problem("garçon", hints, label),
            "answer": format_answer(objects),
        }

    def omni(self, size_wh: tuple[int, int], **boxes: list[list[float]]) -> dict[str, Any]:
        entries = [{"bbox": box, "phrase": phrase} for phrase, of_phrase in boxes.items() for box in of_phrase]
        return {"image_name": self.image(size_wh), "annotation": {"boxes": entries}}

    def asked(self, answer: Any, size_wh: tuple[int, int] = (640, 480), **more: Any) -> dict[str, Any]:
        """Return a row of VLM-R1's layout."""
        turns = [{"from": "human", "value": "<image>Où est le chien ?"}, {"from": "gpt", "value": answer}]
        return {"id": 1, "image": self.image(size_wh), "conversations": turns} | more

    def labelled(self, boxes: Any, size_wh: tuple[int, int] = (1280, 720)) -> dict[str, Any]:
        """Return a row of EasyDistill's layout."""
        return {"image_path": str(self.directory / self.image(size_wh)), "instruction": "Où ?", "abs_box": boxes}
