"""Opening sources: container, dialect, frame and image root of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundprep.api.sources import SourceConfig, open_sources, parse_frame
from groundprep.errors import FormatError, UsageError
from groundprep.geometry.frames import FRAMES, Space
from groundprep.trainers import get_profile
from tests.contracts.samples import loader, run


def test_every_source_has_its_own_reader_dialect_and_image_root(data: Path) -> None:
    run(data / "regions.jsonl", data / "t/out", to="tsv")
    paths = [data / "expressions.jsonl", data / "regions.jsonl", data / "t/out"]
    sources = open_sources(SourceConfig(tuple(map(str, paths))), loader())
    assert [reader.container for reader in sources.readers] == ["jsonl", "jsonl", "tsv"]
    assert [dialect.name for dialect in sources.dialects] == ["rexthinker", "rexomni", "rexomni"]
    assert sources.contexts[0].images.locate("é.png").path == str(data / "é.png")
    assert [path.name for path in sources.files] == [
        "expressions.jsonl", "regions.jsonl", "out.annotations.tsv", "out.annotations.tsv.lineidx", "out.images.tsv",
    ]  # fmt: skip
    assert len(sources.hash()) == 5


def test_a_name_may_be_a_container_or_a_dialect(data: Path) -> None:
    path = str(data / "expressions.jsonl")
    assert open_sources(SourceConfig((path,), from_name="jsonl"), loader()).readers[0].container == "jsonl"
    assert open_sources(SourceConfig((path,), from_name="rexomni"), loader()).dialects[0].name == "rexomni"
    with pytest.raises(UsageError, match="nonsense"):
        open_sources(SourceConfig((path,), from_name="nonsense"), loader())
    with pytest.raises(UsageError):
        open_sources(SourceConfig(()), loader())


@pytest.mark.parametrize("name", ["fehlt.jsonl", "", "fehlt"])
def test_a_source_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_sources(SourceConfig((str(tmp_path / name),)), loader())
    assert caught.value.code in ("file-missing", "is-directory")


@pytest.mark.parametrize("name", [name for name, frame in FRAMES.items() if frame.space is not Space.SEEN])
def test_a_frame_of_the_stored_image_is_named_alone(name: str) -> None:
    assert parse_frame(name).frame is FRAMES[name]


def test_a_trainers_frame_is_named_by_the_trainer_or_its_converter() -> None:
    assert parse_frame("easyr1").chain == get_profile("easyr1").chain
    assert parse_frame("rexthinker@5038b47/converter").chain == get_profile("rexthinker").as_converter().chain
    for name in ("seen", "seen-truncated", "nonsense", "nonsense/converter"):
        with pytest.raises(UsageError):
            parse_frame(name)


def test_the_frame_comes_from_the_file_and_can_be_overruled(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.parquet", profile="rexthinker", frame="converter")
    path = str(data / "out.parquet")
    frames = [
        open_sources(SourceConfig((path,), source_frame=name), loader()).contexts[0].row_frame.chain
        for name in (None, "rexthinker")
    ]
    assert frames == [get_profile("rexthinker").as_converter().chain, get_profile("rexthinker").chain]
