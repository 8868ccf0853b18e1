"""Rex-Omni's TSV, to the byte, and as its own readers read it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.containers import OutRow, Row, TableSpec
from groundprep.containers.tsv import TsvReader, TsvWriter
from groundprep.errors import FormatError, PayloadError
from groundprep.image_loader import ImageLoader
from groundprep.images import FileImage, ImageRef
from groundprep.record import Dropped
from tests.contracts.containers import ContainerContract
from tests.contracts.samples import lost_and_rounded, make_image, make_images, rexomni_row, run, write_jsonl


class TestTsv(ContainerContract):
    name = "tsv"

    def expected(self, row: OutRow) -> dict[str, Any]:
        return row.value

    def row(self, folder: Path, number: int, phrase: str = "chien") -> OutRow:
        value = {"boxes": [{"bbox": [7.5, 3, 40, 21], "phrase": phrase}], "id": number}
        return OutRow(value, self.image(folder, number))

    def main_file(self, path: str) -> Path:
        return Path(path + ".annotations.tsv")

    def complete_lengths(self, whole: bytes) -> list[int]:
        return [len(whole) - 1]  # only the last line end is missing

    def marked_file(self, path: str) -> Path:
        return Path(path + ".annotations.tsv.lineidx")


def files(prefix: Path) -> tuple[Path, Path, Path]:
    return tuple(
        Path(f"{prefix}{suffix}") for suffix in (".images.tsv", ".annotations.tsv", ".annotations.tsv.lineidx")
    )


def as_the_trainer_reads(prefix: Path, *, binary: bool) -> list[tuple[Image.Image, Any]]:
    """Read every sample by the rules of specs/rexomni.md §2.1 alone, with nothing of groundprep."""
    images, annotations, lineidx = files(prefix)
    offsets = [int(line.strip()) for line in lineidx.read_text(encoding="ascii").splitlines()]
    kind: dict[str, Any] = {"mode": "rb"} if binary else {"mode": "r", "encoding": "utf-8"}
    tab, text_of = (b"\t", bytes.decode) if binary else ("\t", str)
    samples = []
    with annotations.open(**kind) as annotation_file, images.open(**kind) as image_file:
        for offset in offsets:
            annotation_file.seek(offset)
            fields = annotation_file.readline().strip().split(tab)
            assert len(fields) == 2
            image_file.seek(int(fields[0]))
            image_fields = image_file.readline().strip().split(tab)
            assert len(image_fields) >= 2
            payload = text_of(image_fields[1])
            if payload.startswith("b'"):
                payload = payload[1:-1]
            image = Image.open(io.BytesIO(base64.b64decode(payload))).convert("RGB")
            samples.append((image, json.loads(text_of(fields[1]))))
    return samples


def test_the_three_files_are_those_of_the_reference_converter_to_the_byte(data: Path) -> None:
    """Source: specs/rexomni.md §1.2; payloads are the source bytes (design.md, law 3)."""
    rows = [
        rexomni_row(0),
        rexomni_row(1),
        rexomni_row(0),
        rexomni_row(2, annotation={"boxes": [], "x": [1e-5, 1e16, "\t\n"]}),
    ]
    write_jsonl(data / "rows.jsonl", rows)
    run(data / "rows.jsonl", data / "out", to="tsv")
    image_lines, annotation_lines, index_lines, offset_of = b"", b"", b"", {}
    for row in rows:
        name = row["image_name"]
        if name not in offset_of:
            offset_of[name] = len(image_lines)
            payload = base64.b64encode((data / name).read_bytes())
            image_lines += str(len(image_lines)).encode() + b"\t" + payload + b"\n"
        index_lines += b"%d\n" % len(annotation_lines)
        annotation = json.dumps(row["annotation"], ensure_ascii=False).encode("utf-8")
        annotation_lines += b"%d\t%b\n" % (offset_of[name], annotation)
    assert [file.read_bytes() for file in files(data / "out")] == [image_lines, annotation_lines, index_lines]


@pytest.mark.parametrize("binary", [False, True], ids=["text mode", "binary mode"])
def test_the_trainers_reader_gets_every_row_and_image(data: Path, binary: bool) -> None:
    rows = [rexomni_row(number) for number in range(7)]
    write_jsonl(data / "rows.jsonl", rows)
    run(data / "rows.jsonl", data / "out", to="tsv")
    samples = as_the_trainer_reads(data / "out", binary=binary)
    assert [annotation for _, annotation in samples] == [row["annotation"] for row in rows]
    for (image, _), row in zip(samples, rows, strict=True):
        with Image.open(data / row["image_name"]) as stored:
            assert image.tobytes() == stored.convert("RGB").tobytes()
            assert image.size == stored.size


def test_a_shared_image_is_stored_once_and_twice_without_dedupe(data: Path) -> None:
    run(data / "regions.jsonl", data / "once", to="tsv")
    run(data / "regions.jsonl", data / "each", to="tsv", dedupe_images=False)
    assert len(files(data / "once")[0].read_bytes().splitlines()) == 3
    assert len(files(data / "each")[0].read_bytes().splitlines()) == 4
    once, each = (as_the_trainer_reads(data / name, binary=True) for name in ("once", "each"))
    assert [(image.tobytes(), value) for image, value in once] == [(image.tobytes(), value) for image, value in each]


def test_the_next_row_stores_the_image_when_the_row_that_should_have_is_dropped(data: Path) -> None:
    """The first row's annotation cannot be written; the second shares its image; the third shows another."""
    writer = TsvWriter(list(files(data / "out")), TableSpec(), ImageLoader())
    shared, other = (ImageRef(None, FileImage(str(data / f"bilder/straße {n}.png"))) for n in (0, 1))
    _, again, of_other, once_more = plans = [writer.plan(ref) for ref in (shared, shared, other, shared)]
    assert [plan.load for plan in plans] == [True, False, True, False]
    writer.write(writer.prepare(OutRow({"boxes": ["狗"]}, shared), again))
    writer.write(writer.prepare(OutRow({"boxes": [2]}, other), of_other))
    writer.write(writer.prepare(OutRow({"boxes": [3]}, shared), once_more))
    writer.close()
    samples = as_the_trainer_reads(data / "out", binary=True)
    assert [(image.size, value["boxes"]) for image, value in samples] == [
        ((61, 37), ["狗"]), ((640, 426), [2]), ((61, 37), [3]),
    ]  # fmt: skip
    assert len(files(data / "out")[0].read_bytes().splitlines()) == 2


@pytest.mark.parametrize("workers", [1, 3])
def test_every_row_of_a_missing_image_is_dropped_not_the_run(data: Path, workers: int) -> None:
    rows = [rexomni_row(0), *(rexomni_row(1, image_name="é fehlt.png") for _ in range(40)), rexomni_row(2)]
    write_jsonl(data / "rows.jsonl", rows)
    result = run(data / "rows.jsonl", data / "out", to="tsv", on_error="drop", workers=workers)
    assert (result.counts["read"], result.counts["dropped"], result.counts["written"]) == (42, 40, 2)
    assert len(as_the_trainer_reads(data / "out", binary=True)) == 2
    with pytest.raises(PayloadError) as caught:
        run(data / "rows.jsonl", data / "strict", to="tsv", workers=workers)
    assert str(caught.value.source) == f"{data / 'rows.jsonl'}:2"
    assert not files(data / "strict")[0].exists()


def tsv(folder: Path, edit: Callable[[tuple[Path, Path, Path]], None]) -> list[Row | Dropped]:
    """Write four rows, edit the files, read them."""
    make_images(folder)
    write_jsonl(folder / "rows.jsonl", map(rexomni_row, range(4)))
    run(folder / "rows.jsonl", folder / "out", to="tsv")
    edit(files(folder / "out"))
    return list(TsvReader(str(folder / "out")))


def test_the_line_index_may_pick_reorder_and_repeat(tmp_path: Path) -> None:
    def edit(triple: tuple[Path, Path, Path]) -> None:
        offsets = triple[2].read_text().split()
        triple[2].write_text("".join(f"{offsets[i]}\n" for i in (3, 1, 1, 0)))

    items = tsv(tmp_path, edit)
    _, annotations, lineidx = files(tmp_path / "out")
    whole = annotations.read_bytes()
    assert len(items) == 4
    for item, offset in zip(items, map(int, lineidx.read_text().split()), strict=True):
        assert isinstance(item, Row)
        assert json.loads(whole[offset:].split(b"\n")[0].split(b"\t")[1]) == item.value
        assert int(whole[offset:].split(b"\t")[0]) == item.image.offset_bytes


def test_an_entry_inside_a_line_is_refused_each_time_that_it_occurs(tmp_path: Path) -> None:
    """One digit into the image offset, a line still parses, with another image: it must never be accepted."""

    def edit(triple: tuple[Path, Path, Path]) -> None:
        third = int(triple[2].read_text().split()[2])
        triple[2].write_text(f"{third + 1}\n" * 3 + "0\n")

    *bad, good = tsv(tmp_path, edit)
    assert [item.code for item in bad if isinstance(item, Dropped)] == ["line-index"] * 3
    assert isinstance(good, Row)


@pytest.mark.parametrize("entry", ["", "-1", "x", "1.0", "9" * 19, "9" * 5000, "10000000", "٣"])
def test_an_entry_that_leads_nowhere_is_an_error_of_its_row(tmp_path: Path, entry: str) -> None:
    def edit(triple: tuple[Path, Path, Path]) -> None:
        triple[2].write_text(f"0\n{entry}\n0\n", encoding="utf-8")

    first, bad, last = tsv(tmp_path, edit)
    assert isinstance(bad, Dropped)
    assert bad.code == "line-index"
    assert isinstance(first, Row)
    assert isinstance(last, Row)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'0\t{"boxes": []}\textra', "tsv-fields"),
        (b'{"boxes": []}', "tsv-fields"),
        (b'x\t{"boxes": []}', "tsv-fields"),
        (b"9" * 25 + b'\t{"boxes": []}', "tsv-fields"),
        (b'0\t{"boxes": [', "bad-json"),
        (b'0\t{"boxes": [NaN]}', "not-finite"),
        (b"0\t[]", "row-not-object"),
    ],
)
def test_a_damaged_annotation_line_is_an_error_of_its_row(tmp_path: Path, line: bytes, code: str) -> None:
    def edit(triple: tuple[Path, Path, Path]) -> None:
        whole = triple[1].read_bytes()
        triple[1].write_bytes(whole + line + b"\n" + whole)
        triple[2].write_bytes(b"0\n%d\n%d\n" % (len(whole), len(whole) + len(line) + 1))

    first, bad, last = tsv(tmp_path, edit)
    assert isinstance(bad, Dropped)
    assert bad.code == code
    assert isinstance(first, Row)
    assert isinstance(last, Row)


def test_without_an_index_rows_are_read_in_file_order_with_a_warning(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "rows.jsonl", map(rexomni_row, range(4)))
    run(tmp_path / "rows.jsonl", tmp_path / "out", to="tsv")
    files(tmp_path / "out")[2].unlink()
    reader = TsvReader(str(tmp_path / "out"))
    assert [item.value for item in reader if isinstance(item, Row)] == [rexomni_row(n)["annotation"] for n in range(4)]
    assert [warning.code for warning in reader.warnings] == ["no-lineidx"]


def warned(folder: Path, edit: Callable[[Path], object], which: int) -> list[tuple[str, str]]:
    """Return what is warned of, once one of the three files of a sound TSV was edited."""
    make_images(folder)
    write_jsonl(folder / "rows.jsonl", map(rexomni_row, range(4)))
    run(folder / "rows.jsonl", folder / "out", to="tsv")
    edit(files(folder / "out")[which])
    reader = TsvReader(str(folder / "out"))
    assert len(list(reader)) == 4
    return [(warning.code, warning.message) for warning in reader.warnings]


@pytest.mark.parametrize("which", range(3))
def test_a_file_without_its_last_line_end_is_warned_of_by_name(tmp_path: Path, which: int) -> None:
    """An images file that was cut inside a payload may still be base64, and open as half an image."""
    name = files(tmp_path / "out")[which].name
    ((code, message),) = warned(tmp_path, lambda file: file.write_bytes(file.read_bytes()[:-1]), which)
    assert (code, name in message) == ("no-line-end", True)
    assert warned(tmp_path / "sound", lambda file: file.touch(), which) == []


def test_annotation_lines_that_end_with_crlf_are_warned_of(tmp_path: Path) -> None:
    def edit(annotations: Path) -> None:
        lines = annotations.read_bytes().replace(b"\n", b"\r\n")
        annotations.write_bytes(lines)
        starts = [0, *(place + 1 for place in range(len(lines) - 1) if lines[place : place + 1] == b"\n")]
        files(annotations.parent / "out")[2].write_bytes(b"".join(b"%d\n" % start for start in starts))

    assert [code for code, _ in warned(tmp_path, edit, 1)] == ["crlf"]


@pytest.mark.parametrize("wrapper", ["b'{}'", 'b"{}"', "{}"])
def test_legacy_payloads_wrapped_as_python_bytes_are_read(tmp_path: Path, wrapper: str) -> None:
    image = make_image(tmp_path / "é.png")
    payload = wrapper.format(base64.b64encode(image.read_bytes()).decode())
    images, annotations, lineidx = files(tmp_path / "alt")
    images.write_text(f"irgendwas é\t{payload}\n", encoding="utf-8")
    annotations.write_text('0\t{"boxes": [{"bbox": [1, 2, 3, 4], "phrase": "狗"}]}\n', encoding="utf-8")
    lineidx.write_text("0\n")
    result = run(tmp_path / "alt", tmp_path / "neu", to="tsv")
    assert result.counts["written"] == 1
    assert base64.b64decode(files(tmp_path / "neu")[0].read_bytes().split(b"\t")[1]) == image.read_bytes()
    assert lost_and_rounded(result) == set()


def test_a_payload_that_is_not_base64_is_an_error_of_its_row(tmp_path: Path) -> None:
    images, annotations, lineidx = files(tmp_path / "alt")
    images.write_text("0\tAAAA*AAA\n")
    annotations.write_text('0\t{"boxes": []}\n')
    lineidx.write_text("0\n")
    result = run(tmp_path / "alt", tmp_path / "neu", to="tsv", on_error="drop")
    assert result.counts["dropped"] == 1
    assert json.loads((tmp_path / "neu.groundprep/dropped.jsonl").read_text())["code"] == "image-base64"


@pytest.mark.parametrize("suffix", ["", ".annotations.tsv", ".annotations.tsv.lineidx", ".images.tsv"])
def test_any_of_its_names_leads_to_the_triple(tmp_path: Path, suffix: str) -> None:
    tsv(tmp_path, lambda triple: None)
    assert len(list(TsvReader(str(tmp_path / "out") + suffix))) == 4


def test_a_tsv_of_other_names_is_refused_with_the_names_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "é.tsv").write_text("0\t{}\n")
    with pytest.raises(FormatError, match="annotations"):
        TsvReader(str(tmp_path / "é.tsv"))
