"""Bad input, as users meet it: every reading command, every way in which a source can be wrong.

A doubtful file is read with a warning. A bad row is an error of its row: it ends a conversion (3), or is dropped into the
sidecar (5), and is a finding of `validate` (1). A broken container ends every command (3). Never a traceback, never a file
under the final name, always one line that names the reason.
"""

from __future__ import annotations

import base64
import gc
import gzip
import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from groundprep.cli import app

IMAGE = "é b.jpg"
SIZE_WH = (61, 37)
DEEP = 100_000


@dataclass(frozen=True)
class Command:
    """One reading command; a further one is a line in COMMANDS."""

    name: str
    arguments: tuple[str, ...]
    checks: bool = False
    reads_images: bool = True


COMMANDS = (
    Command("convert to jsonl", ("convert", "{src}", "{out}/x.jsonl"), reads_images=False),
    Command("sample", ("sample", "{src}", "{out}/x", "--strategy", "all"), reads_images=False),
    Command("convert to tsv", ("convert", "{src}", "{out}/x", "--to", "tsv")),
    Command("convert to parquet", ("convert", "{src}", "{out}/x.parquet", "--for", "easyr1")),
    Command("validate", ("validate", "{src}"), checks=True),
    Command("validate for a trainer", ("validate", "{src}", "--for", "rexthinker"), checks=True),
)
CONVERSIONS = tuple(command for command in COMMANDS if not command.checks)
BY_NAME = {command.name: command for command in COMMANDS}
TO_JSONL, TO_PARQUET, VALIDATE = BY_NAME["convert to jsonl"], BY_NAME["convert to parquet"], BY_NAME["validate"]
READING_IMAGES = [command for command in COMMANDS if command.reads_images]
every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
every_conversion = pytest.mark.parametrize("command", CONVERSIONS, ids=lambda command: command.name)


def row(number: int, **changes: Any) -> dict[str, Any]:
    """Return a good row, or one with some keys changed; None removes nothing, it is JSON's null."""
    box = [7.5, 3.0, 40.0, 21.0]
    candidates = [{"bbox": box, "category": "garçon"}, {"bbox": [1, 2, 30, 33], "category": "garçon"}]
    good = {"image_name": IMAGE, "id": number, "ans": box, "category": "garçon", "referring": "le garçon à gauche"}
    return good | {"candidate_boxes": candidates} | changes


def text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


GOOD = [text(row(number)) for number in range(3)]
ONE = GOOD[1]

BAD_ROWS: dict[str, tuple[bytes, str]] = {
    "NaN": (ONE.replace(b"7.5", b"NaN", 1), "not-finite"),
    "Infinity": (ONE.replace(b"7.5", b"Infinity", 1), "not-finite"),
    "minus Infinity in a candidate": (ONE.replace(b"33]", b"-Infinity]"), "not-finite"),
    "a float beyond double precision": (ONE.replace(b"7.5", b"1e400", 1), "not-finite"),
    "an integer of 5000 digits": (ONE.replace(b"7.5", b"9" * 5000, 1), "not-finite"),
    "an integer of 400 digits": (ONE.replace(b"7.5", b"9" * 400, 1), "number-range"),
    "a coordinate of 1e308": (ONE.replace(b"7.5", b"1e308", 1), "number-range"),
    "a missing key": (text({key: value for key, value in row(1).items() if key != "referring"}), "missing-key"),
    "a string for boxes": (text(row(1, ans="left")), "wrong-type"),
    "null for boxes": (text(row(1, ans=None)), "wrong-type"),
    "booleans for numbers": (text(row(1, ans=[True, False, True, True])), "wrong-type"),
    "a number for a candidate": (text(row(1, candidate_boxes=[3])), "wrong-type"),
    "three numbers for a box": (text(row(1, ans=[1, 2, 3])), "box-shape"),
    "three numbers for a candidate": (text(row(1, candidate_boxes=[{"bbox": [1, 2, 3]}])), "box-shape"),
    "a lone surrogate": (ONE.replace(b"gauche", b"\\ud800"), "lone-surrogate"),
    "a path out of the root": (text(row(1, image_name="../../etc/passwd")), "image-name"),
    "a name with a NUL": (text(row(1, image_name="a\0b.jpg")), "image-name"),
    "a URL": (text(row(1, image_name="https://example.org/a.jpg")), "image-url"),
    "100,000 open brackets": (b"[" * DEEP, "too-deep"),
    "100,000 brackets, closed": (b"[" * DEEP + b"]" * DEEP, "too-deep"),
    "300 nested objects": (b'{"a":' * 300 + b"1" + b"}" * 300, "too-deep"),
    "bytes that are not UTF-8": (ONE.replace(b"gauche", b"\xff\xfe"), "bad-utf8"),
    "a list for a row": (b"[1, 2]", "row-not-object"),
    "a string for a row": (b'"abc"', "row-not-object"),
    "a row that is cut off": (ONE[:50], "bad-json"),
}
BAD_IMAGE_ROWS: dict[str, tuple[bytes, str]] = {
    "a missing image": (text(row(1, image_name="nirgends.jpg")), "image-missing"),
    "a directory for an image": (text(row(1, image_name=".")), "image-missing"),
    "a name of 5000 characters": (text(row(1, image_name="x" * 5000)), "image-missing"),
    "an image without pixels": (text(row(1, image_name="head.jpg")), "image-broken"),
    "text named .jpg": (text(row(1, image_name="text.jpg")), "image-broken"),
    "an empty image": (text(row(1, image_name="empty.jpg")), "image-broken"),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of good and bad images."""
    directory = tmp_path_factory.mktemp("pictures")
    Image.effect_noise(SIZE_WH, 80).convert("RGB").save(directory / IMAGE)
    data = (directory / IMAGE).read_bytes()
    (directory / "head.jpg").write_bytes(data[:30])
    (directory / "half.jpg").write_bytes(data[: len(data) // 2])
    (directory / "text.jpg").write_text("no image at all, but a few words\n", encoding="utf-8")
    (directory / "empty.jpg").write_bytes(b"")
    return directory


@dataclass(frozen=True)
class Place:
    """A directory with images, and one for output."""

    inside: Path
    out: Path

    def write(self, name: str, data: bytes) -> Path:
        path = self.inside / name
        path.write_bytes(data)
        return path

    def run(self, command: Command, src: Path, *more: str) -> Result:
        arguments = [argument.format(src=src, out=self.out) for argument in command.arguments]
        result = CliRunner().invoke(app, [*arguments, *more])
        assert "Traceback" not in result.output + result.stderr
        assert "internal" not in result.stderr
        return result

    def findings(self, command: Command, src: Path, *more: str) -> tuple[int, list[dict[str, Any]]]:
        """Run a check; returns what it found, but not that so small a file has few rows and few candidates."""
        few = ["--ignore", "rows-few", "--ignore", "candidate-single"]
        result = self.run(command, src, "--format", "json", *few, *more)
        return result.exit_code, json.loads(result.stdout)["findings"]

    def left_over(self) -> list[Path]:
        return [path for path in self.out.rglob("*") if path.is_file() or path.name.endswith(".groundprep")]

    def require_refused(self, result: Result, code: str) -> None:
        """Exit 3, one error line that names the reason, no trace of output."""
        assert result.exit_code == 3
        errors = [line for line in result.stderr.splitlines() if "error[" in line]
        assert len(errors) == 1
        assert errors[0].startswith(f"error[{code}] ")
        assert all(line.startswith(("error[", "warning[")) for line in result.stderr.splitlines())
        assert result.stdout == ""
        assert self.left_over() == []

    def written_rows(self) -> int:
        for path in self.out.iterdir():
            if path.name == "x":  # JSON or JSON Lines
                return path.read_bytes().count(b'"image_name"')
            if path.suffix == ".parquet":
                return int(pq.read_metadata(path).num_rows)
            if path.suffix in (".jsonl", ".lineidx"):
                return len(path.read_bytes().splitlines())
        raise AssertionError(f"nothing written: {list(self.out.iterdir())}")

    def dropped(self) -> list[dict[str, Any]]:
        (path,) = self.out.glob("*.groundprep/dropped.jsonl")
        return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def place(tmp_path: Path, pictures: Path) -> Place:
    inside = tmp_path / "data"
    shutil.copytree(pictures, inside)
    (tmp_path / "out").mkdir()
    return Place(inside, tmp_path / "out")


def lines(*rows: bytes) -> bytes:
    return b"".join(row + b"\n" for row in rows)


def with_bad(bad: bytes, position: int) -> bytes:
    rows = list(GOOD)
    rows[position] = bad
    return lines(*rows)


# Accepted with a warning

ODDITIES: dict[str, tuple[str, bytes, str]] = {
    "a byte order mark": ("x.jsonl", b"\xef\xbb\xbf" + lines(*GOOD), "bom"),
    "CRLF": ("x.jsonl", lines(*GOOD).replace(b"\n", b"\r\n"), "crlf"),
    "an array named .jsonl": ("x.jsonl", b"[" + b", ".join(GOOD) + b"]", "misnamed"),
    "lines named .json": ("x.json", lines(*GOOD), "misnamed"),
    "an array with a byte order mark": ("x.json", b"\xef\xbb\xbf[" + b",\r\n".join(GOOD) + b"]", "bom"),
    "repeated ids": ("x.jsonl", lines(GOOD[0], GOOD[1], GOOD[0]), "repeated-id"),
    "blank lines": ("x.jsonl", GOOD[0] + b"\n\n  \n" + lines(*GOOD[1:]), "blank-line"),
}


@every_command
@pytest.mark.parametrize("oddity", ODDITIES)
def test_an_odd_file_is_read_with_a_warning(oddity: str, command: Command, place: Place) -> None:
    name, data, code = ODDITIES[oddity]
    src = place.write(name, data)
    result = place.run(command, src)
    assert result.exit_code == 0
    assert f"warning[{code}] " in (result.stdout if command.checks else result.stderr)
    assert "error[" not in result.output
    if command.checks:
        assert "3 records: 0 errors, " in result.stdout
        assert place.run(command, src, "--fail-on", "warning").exit_code == 1
    else:
        assert place.written_rows() == 3


@every_command
@pytest.mark.parametrize(
    ("box", "code"),
    [
        ([40.0, 21.0, 7.5, 3.0], "box-inverted"),
        ([7.5, 3.0, 7.5, 21.0], "box-degenerate"),
        ([7.5, 3, 640, 21], "box-outside"),
    ],
)
def test_a_doubtful_box_is_a_warning_in_convert_and_an_error_in_validate(
    box: list[float], code: str, command: Command, place: Place
) -> None:
    candidates = [{"bbox": box, "category": "garçon"}]
    src = place.write("x.jsonl", with_bad(text(row(1, ans=box, candidate_boxes=candidates)), 1))
    if command.checks:
        exit_code, findings = place.findings(command, src, "--select", code)
        assert exit_code == 1
        assert {(finding["code"], finding["severity"], finding["record"]) for finding in findings} == {
            (code, "error", 1)
        }
        assert len(findings) == 2
        return
    result = place.run(command, src)
    assert result.exit_code == 0
    assert place.written_rows() == 3
    if code != "box-outside" or command.reads_images:  # a conversion that reads no image knows no size
        assert f"warning[{code}] {src}:2: " in result.stderr


# Bad rows


def cases(rows: dict[str, tuple[bytes, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("bad", "code"), list(rows.values()), ids=list(rows))


def check_bad_row(bad: bytes, code: str, position: int, command: Command, place: Place) -> None:
    src = place.write("x.jsonl", with_bad(bad, position))
    if command.checks:
        exit_code, findings = place.findings(command, src)
        assert exit_code == 1
        (finding,) = [finding for finding in findings if finding["severity"] == "error"]
        assert (finding["code"], finding["source"]) == (code, f"{src}:{position + 1}")
        shown = place.run(command, src)
        assert shown.exit_code == 1
        assert shown.stderr == ""
        lines = shown.stdout.splitlines()
        head = next(number for number, line in enumerate(lines) if line.startswith(f"error[{code}] "))
        assert lines[head + 1].startswith(f"  {src}:{position + 1}: ")
        return
    place.require_refused(place.run(command, src), code)
    result = place.run(command, src, "--on-error", "drop")
    assert result.exit_code == 5
    (dropped,) = place.dropped()
    assert (dropped["code"], dropped["source"]) == (code, f"{src}:{position + 1}")
    assert dropped["row"]
    assert place.written_rows() == 2


@every_command
@cases(BAD_ROWS)
def test_a_bad_row_is_an_error_of_its_row(bad: bytes, code: str, command: Command, place: Place) -> None:
    check_bad_row(bad, code, 1, command, place)


@pytest.mark.parametrize("command", [TO_JSONL, VALIDATE], ids=lambda command: command.name)
@cases(BAD_ROWS)
def test_a_bad_first_row_does_not_hide_what_the_file_is(bad: bytes, code: str, command: Command, place: Place) -> None:
    check_bad_row(bad, code, 0, command, place)


@pytest.mark.parametrize("command", READING_IMAGES, ids=lambda command: command.name)
@cases(BAD_IMAGE_ROWS)
def test_an_image_that_cannot_be_read_is_an_error_of_its_row(
    bad: bytes, code: str, command: Command, place: Place
) -> None:
    check_bad_row(bad, code, 1, command, place)


@pytest.mark.parametrize(
    "command", [command for command in CONVERSIONS if not command.reads_images], ids=lambda command: command.name
)
@cases(BAD_IMAGE_ROWS)
def test_a_conversion_that_needs_no_image_reads_none(bad: bytes, code: str, command: Command, place: Place) -> None:
    assert place.run(command, place.write("x.jsonl", with_bad(bad, 1))).exit_code == 0
    assert place.written_rows() == 3


@pytest.mark.parametrize("command", READING_IMAGES, ids=lambda command: command.name)
def test_a_truncated_image_is_found_where_images_are_decoded(command: Command, place: Place) -> None:
    src = place.write("x.jsonl", with_bad(text(row(1, image_name="half.jpg")), 1))
    if command.checks:
        assert [finding["code"] for finding in place.findings(command, src)[1]] == ["image-broken"]
        assert place.findings(command, src, "--verify", "header") == (0, [])
    else:
        place.require_refused(place.run(command, src, "--verify", "decode"), "image-broken")
        assert place.run(command, src).exit_code == 0


@every_command
@pytest.mark.parametrize(("bad", "code"), [BAD_ROWS["NaN"], BAD_ROWS["100,000 open brackets"]], ids=["NaN", "brackets"])
def test_a_file_whose_only_row_is_bad_names_that_row(bad: bytes, code: str, command: Command, place: Place) -> None:
    src = place.write("x.jsonl", lines(bad))
    if command.checks:
        assert place.findings(command, src)[0] == 1
    else:
        place.require_refused(place.run(command, src), code)


def test_a_hundred_bad_lines_before_the_first_good_one_do_not_matter(place: Place) -> None:
    src = place.write("x.jsonl", lines(*[b'{"ans": NaN}'] * 100, *GOOD))
    exit_code, findings = place.findings(VALIDATE, src, "--max-findings", "7")
    assert (exit_code, len(findings)) == (1, 7)
    result = json.loads(place.run(VALIDATE, src, "--format", "json", "--max-findings", "7").stdout)
    assert (result["records"], result["errors"], result["warnings"], result["truncated"]) == (103, 100, 0, True)
    assert place.run(TO_JSONL, src, "--on-error", "drop").exit_code == 5
    assert (place.written_rows(), len(place.dropped())) == (3, 100)


def test_control_characters_of_data_do_not_reach_the_terminal(place: Place) -> None:
    src = place.write("x.jsonl", with_bad(text(row(1, image_name="../\x1b[31m\nrot\u202e.jpg")), 1))
    for command in COMMANDS:
        result = place.run(command, src)
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output
        assert "\\x1b[31m\\nrot\\u202e.jpg" in result.output


@every_command
def test_an_absolute_path_is_accepted_only_without_a_root_or_inside_it(command: Command, place: Place) -> None:
    src = place.write("x.jsonl", lines(text(row(1, image_name=str(place.inside / IMAGE)))))
    outside = str(place.out)
    if command.checks:
        assert place.findings(command, src, "--image-root", str(place.inside)) == (0, [])
        assert [finding["code"] for finding in place.findings(command, src, "--image-root", outside)[1]] == [
            "image-name"
        ]
    else:
        place.require_refused(place.run(command, src, "--image-root", outside), "image-name")
        assert place.run(command, src).exit_code == 0


@pytest.mark.parametrize("command", READING_IMAGES, ids=lambda command: command.name)
def test_an_image_with_broken_exif_data_is_no_reason_for_a_remark(command: Command, place: Place) -> None:
    exif = Image.Exif()
    exif[0x010E] = "une description assez longue"
    file = io.BytesIO()
    Image.new("RGB", SIZE_WH).save(file, "JPEG", exif=exif)
    data = bytearray(file.getvalue())
    start = data.index(b"Exif\0\0") + 6
    data[start + 8 : start + 10] = b"\xff\xff"  # so many entries
    data[start + 14 : start + 18] = b"\xff\xff\xff\x7f"  # of so many bytes
    place.write("exif.jpg", bytes(data))
    result = place.run(command, place.write("x.jsonl", with_bad(text(row(1, image_name="exif.jpg")), 1)))
    assert (result.exit_code, result.stderr) == (0, "")


@every_command
def test_a_refused_source_is_closed_at_once_and_not_when_memory_is_collected(command: Command, place: Place) -> None:
    src = place.write("x.jsonl", with_bad(BAD_ROWS["NaN"][0], 0))
    gc.collect()
    gc.disable()
    try:
        assert place.run(command, src).exit_code in (1, 3)
        still_open = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    finally:
        gc.enable()
    assert str(src) not in still_open


# Broken containers


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", SIZE_WH, (200, 30, 40)).save(file, "PNG")
    return file.getvalue()


ARRAY = b"[" + b",\n".join(GOOD) + b"]"
BROKEN: dict[str, tuple[str, bytes, str]] = {
    "an empty file": ("x.jsonl", b"", "file-empty"),
    "an empty JSON file": ("x.json", b"", "file-empty"),
    "blank lines only": ("x.jsonl", b"\n  \n", "no-rows"),
    "a byte order mark only": ("x.jsonl", b"\xef\xbb\xbf", "no-rows"),
    "an empty array": ("x.json", b"[]", "no-rows"),
    "an array cut in a row": ("x.json", ARRAY[:-40], "truncated"),
    "an array cut after a row": ("x.json", ARRAY[:-1], "truncated"),
    "an open bracket": ("x.json", b"[", "truncated"),
    "100,000 open brackets": ("x.json", b"[" * DEEP, "truncated"),
    "text after the array": ("x.json", ARRAY + b" x", "truncated"),
    "two arrays": ("x.json", ARRAY * 2, "truncated"),
    "a last line cut off": ("x.jsonl", lines(*GOOD)[:-30], "cut-off"),
    "an only line cut off": ("x.jsonl", GOOD[0][:30], "cut-off"),
    "a PNG named .jsonl": ("x.jsonl", png(), "binary"),
    "a PNG named .json": ("x.json", png(), "binary"),
    "random bytes": ("x.jsonl", random.Random(1).randbytes(5000), "binary"),
    "gzip": ("x.jsonl", gzip.compress(lines(*GOOD)), "binary"),
    "UTF-16": ("x.jsonl", lines(*GOOD).decode().encode("utf-16"), "binary"),
    "a PNG named .parquet": ("x.parquet", png(), "bad-parquet"),
    "JSON Lines named .parquet": ("x.parquet", lines(*GOOD), "bad-parquet"),
    "a parquet file of nothing but its magic": ("x.parquet", b"PAR1" + b"x" * 100 + b"PAR1", "bad-parquet"),
    "rows of no known layout": ("x.jsonl", b'{"a": 1}\n', "unknown-dialect"),
}


@every_command
@pytest.mark.parametrize(("name", "data", "code"), list(BROKEN.values()), ids=list(BROKEN))
def test_a_broken_container_ends_every_command(
    name: str, data: bytes, code: str, command: Command, place: Place
) -> None:
    src = place.write(name, data)
    place.require_refused(place.run(command, src), code)
    if not command.checks:
        place.require_refused(place.run(command, src, "--on-error", "drop"), code)


@every_command
def test_a_missing_file_and_a_directory_are_refused(command: Command, place: Place) -> None:
    place.require_refused(place.run(command, place.inside / "nirgends.jsonl"), "file-missing")
    place.require_refused(place.run(command, place.inside), "is-directory")


@every_command
def test_json_format_tells_an_error_on_one_line_of_json(command: Command, place: Place) -> None:
    src = place.write("x.json", ARRAY[:-40])
    result = place.run(command, src, "--format", "json")
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert (told["error"], told["source"]) == ("truncated", f"{src}:3")


# TSV


def tsv(
    place: Place, *, images: bytes | None = None, annotations: bytes | None = None, lineidx: bytes | None = None
) -> Path:
    """Write a triple of three rows that share one image; any of its files may be replaced."""
    image = place.inside.joinpath(IMAGE).read_bytes()
    annotation = text({"boxes": [{"bbox": [7.5, 3, 40, 21], "phrase": "garçon"}]})
    rows = [b"0\t" + annotation + b"\n"] * 3
    offsets = b"".join(b"%d\n" % (number * len(rows[0])) for number in range(3))
    place.write("t.images.tsv", images if images is not None else b"0\t" + base64.b64encode(image) + b"\n")
    place.write("t.annotations.tsv", annotations if annotations is not None else b"".join(rows))
    place.write("t.annotations.tsv.lineidx", lineidx if lineidx is not None else offsets)
    return place.inside / "t"


ROW_BYTES = len(b"0\t" + text({"boxes": [{"bbox": [7.5, 3, 40, 21], "phrase": "garçon"}]}) + b"\n")
ANNOTATION = b'0\t{"boxes": [{"bbox": [7.5, 3, 40, 21], "phrase": "gar\xc3\xa7on"}]}\n'
BAD_ENTRIES: dict[str, bytes] = {
    "in the middle of a line": b"%d" % (ROW_BYTES + 5),
    "counted in characters": b"%d" % (ROW_BYTES - 1),
    "beyond the end": b"999999",
    "of 40 digits": b"9" * 40,
    "of 5000 digits": b"9" * 5000,
    "below zero": b"-3",
    "empty": b"",
    "a word": b"abc",
    "a superscript digit": "²".encode(),
}
TSV_COMMANDS = pytest.mark.parametrize(
    "command", [BY_NAME["convert to tsv"], TO_PARQUET, VALIDATE], ids=lambda command: command.name
)


def check_bad_tsv_row(src: Path, code: str, row_number: int, command: Command, place: Place) -> None:
    where = f"{src}.annotations.tsv:{row_number}"
    if command.checks:
        exit_code, findings = place.findings(command, src)
        assert exit_code == 1
        assert [(finding["code"], finding["source"]) for finding in findings] == [(code, where)]
        return
    result = place.run(command, src)
    place.require_refused(result, code)
    assert result.stderr.startswith(f"error[{code}] {where}: ")
    assert place.run(command, src, "--on-error", "drop").exit_code == 5
    assert [(dropped["code"], dropped["source"]) for dropped in place.dropped()] == [(code, where)]
    assert place.written_rows() == 2


@TSV_COMMANDS
@pytest.mark.parametrize("entry", list(BAD_ENTRIES.values()), ids=list(BAD_ENTRIES))
def test_a_line_index_entry_that_leads_nowhere_is_an_error_of_its_row(
    entry: bytes, command: Command, place: Place
) -> None:
    src = tsv(place, lineidx=b"0\n" + entry + b"\n%d\n" % (2 * ROW_BYTES))
    check_bad_tsv_row(src, "line-index", 2, command, place)


BAD_ANNOTATIONS: dict[str, tuple[bytes, str]] = {
    "one field": (ANNOTATION.replace(b"\t", b" "), "tsv-fields"),
    "three fields": (ANNOTATION[:-3] + b"\t \n", "tsv-fields"),
    "an offset that is a word": (b"a" + ANNOTATION[1:], "tsv-fields"),
    "an image offset in the middle of a line": (b"7" + ANNOTATION[1:], "line-index"),
    "null": (b"0\tnull" + b" " * (ROW_BYTES - 7) + b"\n", "row-not-object"),
    "broken JSON": (ANNOTATION[:-3] + b"  \n", "bad-json"),
}


@TSV_COMMANDS
@pytest.mark.parametrize(("annotation", "code"), list(BAD_ANNOTATIONS.values()), ids=list(BAD_ANNOTATIONS))
def test_a_bad_annotation_line_is_an_error_of_its_row(
    annotation: bytes, code: str, command: Command, place: Place
) -> None:
    assert len(annotation) == ROW_BYTES
    check_bad_tsv_row(tsv(place, annotations=ANNOTATION + annotation + ANNOTATION), code, 2, command, place)


@TSV_COMMANDS
@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"!!!!", "image-base64"), (b"", "image-broken"), (base64.b64encode(b"text"), "image-broken")],
    ids=["garbage", "nothing", "text"],
)
def test_a_bad_payload_is_an_error_of_the_rows_that_show_it(
    payload: bytes, code: str, command: Command, place: Place
) -> None:
    image = b"0\t" + base64.b64encode(place.inside.joinpath(IMAGE).read_bytes()) + b"\n"
    images = image + b"%d\t%b\n" % (len(image), payload)
    shows_second = b"%d" % len(image) + ANNOTATION[1:]
    annotations = ANNOTATION + shows_second + ANNOTATION
    lineidx = b"0\n%d\n%d\n" % (ROW_BYTES, ROW_BYTES + len(shows_second))
    check_bad_tsv_row(tsv(place, images=images, annotations=annotations, lineidx=lineidx), code, 2, command, place)


@every_command
def test_a_tsv_without_one_of_its_files_or_with_an_empty_one_is_refused(command: Command, place: Place) -> None:
    src = tsv(place, images=b"")
    place.require_refused(place.run(command, src), "file-empty")
    (place.inside / "t.images.tsv").unlink()
    place.require_refused(place.run(command, src), "file-missing")
    src = tsv(place, lineidx=b"")
    place.require_refused(place.run(command, src), "file-empty")


# Parquet


def parquet(place: Place, metadata: bytes | None = None, **columns: Any) -> Path:
    """Write three EasyR1 rows of which some columns may be replaced."""
    problem = '<image>Hint: Object and its coordinates in this image: {"garçon": [[1, 2, 3, 4]]}\nPlease detect x in this image.'
    answer = '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "x"}]\n```'
    image = [{"bytes": place.inside.joinpath(IMAGE).read_bytes(), "path": None}]
    good = {"images": [image] * 3, "problem": [problem] * 3, "answer": [answer] * 3}
    path = place.inside / "x.parquet"
    table = pa.table(good | columns)
    pq.write_table(table if metadata is None else table.replace_schema_metadata({b"groundprep": metadata}), path)
    return path


ANSWER = '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "x"}]\n```'
PARQUET_COMMANDS = pytest.mark.parametrize("command", [TO_PARQUET, VALIDATE], ids=lambda command: command.name)
BAD_CELLS: dict[str, tuple[dict[str, list[Any]], str]] = {
    "no image": ({"images": [None]}, "wrong-type"),
    "an empty list of images": ({"images": [[]]}, "image-needed"),
    "an image of null": ({"images": [[{"bytes": None, "path": None}]]}, "image-needed"),
    "bytes that are no image": ({"images": [[{"bytes": b"xx", "path": "a.png"}]]}, "image-broken"),
    "a path out of the root": ({"images": [[{"bytes": None, "path": "../../etc/passwd"}]]}, "image-name"),
    "no problem": ({"problem": [None]}, "wrong-type"),
    "NaN in the answer": ({"answer": [ANSWER.replace("1,", "NaN,")]}, "not-finite"),
    "broken JSON in the answer": ({"answer": ["```json\n[{\n```"]}, "bad-json"),
    "a box of three numbers": ({"answer": [ANSWER.replace("1, ", "")]}, "bad-answer"),
}


@PARQUET_COMMANDS
@pytest.mark.parametrize(("cells", "code"), list(BAD_CELLS.values()), ids=list(BAD_CELLS))
def test_a_bad_cell_is_an_error_of_its_row(
    cells: dict[str, list[Any]], code: str, command: Command, place: Place
) -> None:
    good = pq.read_table(parquet(place)).to_pydict()
    columns = {name: [good[name][0], *cell, good[name][2]] for name, cell in cells.items()}
    src = parquet(place, **columns)
    if command.checks:
        exit_code, findings = place.findings(command, src, "--source-frame", "easyr1")
        assert exit_code == 1
        assert [(finding["code"], finding["source"]) for finding in findings] == [(code, f"{src}:2")]
        return
    place.require_refused(place.run(command, src), code)
    assert place.run(command, src, "--on-error", "drop").exit_code == 5
    assert [dropped["code"] for dropped in place.dropped()] == [code]
    assert place.written_rows() == 2


@PARQUET_COMMANDS
def test_a_column_of_another_type_is_an_error_of_every_row(command: Command, place: Place) -> None:
    src = parquet(place, problem=[1, 2, 3])
    if command.checks:
        exit_code, findings = place.findings(command, src, "--source-frame", "easyr1")
        assert (exit_code, [finding["code"] for finding in findings]) == (1, ["wrong-type"] * 3)
    else:
        place.require_refused(place.run(command, src), "wrong-type")


FACTOR_OF_ZERO = (
    b'{"op": "smart-resize", "factor": 0, "min_pixels": 1, "max_pixels": 9, "small_side": "raise", "version": "4"}'
)


@PARQUET_COMMANDS
@pytest.mark.parametrize(
    "metadata",
    [
        b"{", b"[1]", b"{}", b'{"frame": "seen-truncated", "chain": "x"}', b'{"frame": ["x"], "chain": []}', b"[" * 5000,
        b'{"frame": "seen-truncated", "chain": [{"op": "sqrt-limit", "min_pixels": "a", "max_pixels": null}]}',
        b'{"frame": "seen-truncated", "chain": [{"op": "sqrt-limit", "min_pixels": 1, "max_pixels": -1}]}',
        b'{"frame": "seen-truncated", "chain": [%b]}' % FACTOR_OF_ZERO,
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_read_is_refused(metadata: bytes, command: Command, place: Place) -> None:
    place.require_refused(place.run(command, parquet(place, metadata)), "schema")


@PARQUET_COMMANDS
def test_a_damaged_parquet_file_is_refused(command: Command, place: Place) -> None:
    src = parquet(place)
    data = src.read_bytes()
    more = ("--source-frame", "easyr1")
    src.write_bytes(data[:-100])
    place.require_refused(place.run(command, src, *more), "bad-parquet")
    src.write_bytes(data[:4] + b"\xff" * 60 + data[64:])
    place.require_refused(place.run(command, src, *more), "bad-parquet")
    src.write_bytes(data[:-60] + b"\xff" * 40 + data[-20:])
    place.require_refused(place.run(command, src, *more), "bad-parquet")


# Destinations


@every_conversion
def test_a_destination_below_a_file_is_refused(command: Command, place: Place) -> None:
    src = place.write("x.jsonl", lines(*GOOD))
    blocked = Place(place.inside, place.write("datei", b"x"))
    result = blocked.run(command, src)
    assert result.exit_code == 3
    assert result.stderr.startswith("error[write-failed] ")
    assert len(result.stderr.splitlines()) == 1
    assert (place.inside / "datei").read_bytes() == b"x"


def test_a_report_below_a_file_is_refused(place: Place) -> None:
    src = place.write("x.jsonl", lines(*GOOD))
    result = place.run(VALIDATE, src, "--report", str(src / "report.json"))
    assert result.exit_code == 3
    assert result.stderr.startswith("error[write-failed] ")


def on_a_full_disk(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command line where no file may grow beyond 8 KiB."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    code = "from groundprep.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, preexec_fn=limit,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


FULL: dict[str, Callable[[Path, Path], list[str]]] = {
    "jsonl": lambda src, out: ["convert", str(src), f"{out}/x.jsonl"],
    "parquet": lambda src, out: ["convert", str(src), f"{out}/x.parquet", "--for", "easyr1"],
    "tsv": lambda src, out: ["convert", str(src), f"{out}/x", "--to", "tsv"],
    "report": lambda src, out: ["validate", str(src), "--report", f"{out}/x.jsonl"],
}


@pytest.mark.parametrize("arguments", list(FULL.values()), ids=list(FULL))
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(
    arguments: Callable[[Path, Path], list[str]], place: Place
) -> None:
    bad = text(row(1, ans=[40, 21, 7, 90]))
    src = place.write("x.jsonl", lines(*[bad] * 200))
    result = on_a_full_disk(arguments(src, place.out))
    assert result.returncode == 3
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if "error[" in line]
    assert len(errors) == 1
    assert errors[0].startswith("error[write-failed] ")
    assert place.left_over() == []
