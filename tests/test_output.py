"""Atomic output: complete under its final name or not there; one writer at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundprep.errors import FormatError, UsageError
from groundprep.manifest import FORMAT, Manifest, RunConfig
from groundprep.output import Output, writing

CONFIG = RunConfig("convert", (), {"limit": None})
OTHER = RunConfig("convert", (), {"limit": 3})
SUFFIXES = (".images.tsv", ".annotations.tsv")


def output(tmp_path: Path, config: RunConfig = CONFIG) -> Output:
    return Output(str(tmp_path / "été/aus"), SUFFIXES, config)


def manifest(config: RunConfig = CONFIG) -> Manifest:
    return Manifest(FORMAT, "0", config, {}, {"read": 1}, {}, ())


def fill(one: Output, text: str = "neu") -> None:
    for path in one.partial_paths:
        path.write_text(text)


def write(one: Output, text: str = "neu") -> None:
    one.begin()
    fill(one, text)
    one.commit(manifest(one.config), {"seconds": 1})


def test_nothing_has_its_final_name_before_the_commit_and_nothing_is_left_beside_it_after(tmp_path: Path) -> None:
    one = output(tmp_path)
    one.begin()
    fill(one)
    assert not any(final.exists() for final in one.finals)
    finished = one.commit(manifest(), {"seconds": 1})
    assert sorted(path.name for path in one.sidecar.iterdir()) == ["manifest.json", "run.json"]
    assert [final.read_text() for final in one.finals] == ["neu", "neu"]
    assert [(out.name, out.bytes) for out in finished.outputs] == [("aus.images.tsv", 3), ("aus.annotations.tsv", 3)]


def test_an_aborted_run_leaves_nothing(tmp_path: Path) -> None:
    one = output(tmp_path)
    one.begin()
    fill(one)
    one.abort()
    assert list((tmp_path / "été").iterdir()) == []


def test_a_finished_output_is_known_again_and_another_is_refused(tmp_path: Path) -> None:
    write(output(tmp_path))
    assert output(tmp_path).completed(overwrite=False, fresh=False) is not None
    assert output(tmp_path, OTHER).completed(overwrite=True, fresh=False) is None
    with pytest.raises(UsageError) as caught:
        output(tmp_path, OTHER).completed(overwrite=False, fresh=True)
    assert caught.value.code == "output-differs"


def test_an_output_that_lost_a_file_is_written_again(tmp_path: Path) -> None:
    one = output(tmp_path)
    write(one)
    one.finals[1].unlink()
    assert output(tmp_path).completed(overwrite=False, fresh=False) is None


def test_an_unfinished_run_is_taken_up_by_the_same_configuration_only(tmp_path: Path) -> None:
    killed = output(tmp_path)
    killed.begin()
    fill(killed, "halb")
    assert killed._lock is not None
    killed._lock.close()  # what the end of a process does to its lock
    assert output(tmp_path).completed(overwrite=False, fresh=False) is None
    with pytest.raises(UsageError) as caught:
        output(tmp_path, OTHER).completed(overwrite=False, fresh=False)
    assert caught.value.code == "output-unfinished"
    assert output(tmp_path, OTHER).completed(overwrite=False, fresh=True) is None
    again = output(tmp_path)
    again.begin()
    half = [path for path in again.partial.rglob("*") if path.is_file()]
    again.abort()
    assert half == []


def test_two_runs_never_write_one_destination(tmp_path: Path) -> None:
    first, second = output(tmp_path), output(tmp_path)
    first.begin()
    with pytest.raises(UsageError) as caught:
        second.begin()
    assert caught.value.code == "output-busy"
    fill(first)
    first.commit(manifest(), {})
    write(second, "danach")
    assert second.finals[0].read_text() == "danach"


def test_a_foreign_file_of_any_of_the_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "été").mkdir()
    (tmp_path / "été/aus.annotations.tsv").write_text("fremd")
    with pytest.raises(UsageError) as caught:
        output(tmp_path).completed(overwrite=False, fresh=True)
    assert caught.value.code == "output-exists"
    assert "aus.annotations.tsv" in str(caught.value)


def test_what_the_system_refuses_to_write_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "été").write_text("a file where a folder is needed")
    with pytest.raises(FormatError) as caught:
        output(tmp_path).begin()
    assert caught.value.code == "write-failed"
    with pytest.raises(FormatError), writing(tmp_path):
        (tmp_path / "fehlt/x").write_text("")
