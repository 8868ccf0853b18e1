"""What every container promises. Subclass ContainerContract for a container of your own and name it in `name`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from groundprep.containers import CONTAINERS, OutRow, Row, TableSpec, open_reader
from groundprep.errors import FormatError
from groundprep.image_loader import ImageLoader
from groundprep.images import FileImage, ImageRef
from groundprep.record import Dropped
from tests.contracts.samples import make_images, rexomni_row, same_json

PHRASES = ("chien", "狗", "Straße\u2028", 'a "quoted" \\ back\tslash\nline', "🐕‍🦺", "]}[{,")


class ContainerContract:
    """Tests that hold for every container.

    Attributes:
        name: the container's name in the registry.
        is_text: whether it is made of lines of text, so that BOM and CRLF may occur.
    """

    name: ClassVar[str]
    is_text: ClassVar[bool] = True

    def row(self, folder: Path, number: int, phrase: str = "chien") -> OutRow:
        """Return a row that this container can hold."""
        value = rexomni_row(number, id=number, annotation={"boxes": [{"bbox": [7.5, 3, 40, 21], "phrase": phrase}]})
        return OutRow(value, self.image(folder, number))

    def image(self, folder: Path, number: int) -> ImageRef:
        name = f"bilder/straße {number % 3}.png"
        return ImageRef(name, FileImage(str(folder / name)))

    def expected(self, row: OutRow) -> dict[str, Any]:
        """Return what reading the row gives."""
        return row.value

    table: ClassVar[TableSpec] = TableSpec()

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        make_images(tmp_path)
        return tmp_path

    def write(self, folder: Path, rows: list[OutRow]) -> str:
        """Write the rows; return the path that a reader takes."""
        kind = CONTAINERS[self.name]
        dst = str(folder / f"é{kind.extensions[0]}") if self.name != "tsv" else str(folder / "é")
        writer = kind.writer([Path(dst + suffix) for suffix in kind.writer.suffixes], self.table, ImageLoader())
        for row in rows:
            writer.write(writer.prepare(row, writer.plan(row.image)))
        writer.close()
        return dst

    def main_file(self, path: str) -> Path:
        """Return the file that holds the rows."""
        return Path(path)

    def read(self, path: str) -> list[Row | Dropped]:
        return list(open_reader(path))

    def values(self, path: str) -> list[Any]:
        items = self.read(path)
        assert all(isinstance(item, Row) for item in items), items
        return [item.value for item in items if isinstance(item, Row)]

    def test_rows_come_back_in_order_and_equal(self, folder: Path) -> None:
        rows = [self.row(folder, number, phrase) for number, phrase in enumerate(PHRASES)]
        values = self.values(self.write(folder, rows))
        assert len(values) == len(rows)
        for value, row in zip(values, rows, strict=True):
            assert same_json_or_bytes(value, self.expected(row))

    def test_one_row_comes_back(self, folder: Path) -> None:
        row = self.row(folder, 1)
        assert len(self.values(self.write(folder, [row]))) == 1

    def test_rows_are_numbered_from_one_under_the_name_that_the_user_gave(self, folder: Path) -> None:
        path = self.write(folder, [self.row(folder, number) for number in range(3)])
        items = self.read(path)
        assert [item.source.row for item in items] == [1, 2, 3]
        assert all(item.source.path.startswith(path) for item in items)

    def test_rows_with_the_same_id_are_all_read(self, folder: Path) -> None:
        path = self.write(folder, [self.row(folder, 1), self.row(folder, 1), self.row(folder, 2)])
        assert len(self.values(path)) == 3

    def test_a_reader_can_be_read_twice(self, folder: Path) -> None:
        reader = open_reader(self.write(folder, [self.row(folder, number) for number in range(3)]))
        assert [item.source for item in reader] == [item.source for item in reader]

    def test_equal_rows_give_equal_bytes(self, folder: Path) -> None:
        rows = [self.row(folder, number, phrase) for number, phrase in enumerate(PHRASES)]
        first = self.main_file(self.write(folder, rows)).read_bytes()
        assert self.main_file(self.write(folder, rows)).read_bytes() == first

    @pytest.mark.parametrize("found", ["missing", "empty", "directory", "binary"])
    def test_what_cannot_be_enumerated_is_refused_in_one_line(self, folder: Path, found: str) -> None:
        path = self.write(folder, [self.row(folder, 0)])
        file = self.main_file(path)
        file.unlink()
        if found == "empty":
            file.touch()
        elif found == "directory":
            file.mkdir()
        elif found == "binary":
            file.write_bytes(bytes(range(256)) * 20)
        with pytest.raises(FormatError) as caught:
            self.require_every_row_dropped(self.read(path))
        assert "\n" not in str(caught.value)
        assert path in str(caught.value)

    def require_every_row_dropped(self, items: list[Row | Dropped]) -> None:
        """Raise the reason of the first row, if a container notices binary content only in its rows."""
        for item in items:
            assert isinstance(item, Dropped), item
            raise FormatError("every row is damaged", source=item.source, found=item.message)

    def test_a_truncated_tail_never_shortens_the_data_in_silence(self, folder: Path) -> None:
        rows = [self.row(folder, number, phrase) for number, phrase in enumerate(PHRASES[:3])]
        path = self.write(folder, rows)
        file = self.main_file(path)
        whole = file.read_bytes()
        ends = set(self.complete_lengths(whole))
        for length in range(1, len(whole), max(1, len(whole) // 400)):
            if length in ends:
                continue
            file.write_bytes(whole[:length])
            try:
                items = self.read(path)
            except FormatError as error:
                assert "\n" not in str(error)  # noqa: PT017 (the happy path below is as good)
                continue
            assert len(items) == len(rows), length
            assert any(isinstance(item, Dropped) for item in items), length

    def complete_lengths(self, whole: bytes) -> list[int]:
        """Return the lengths at which the file is complete, though shorter."""
        del whole
        return []

    def test_a_byte_order_mark_is_accepted_with_a_warning(self, folder: Path) -> None:
        if not self.is_text:
            pytest.skip("not a text container")
        path = self.write(folder, [self.row(folder, number) for number in range(2)])
        file = self.marked_file(path)
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
        reader = open_reader(path)
        items = list(reader)
        assert all(isinstance(item, Row) for item in items)
        assert len(items) == 2
        assert "bom" in {warning.code for warning in reader.warnings}

    def marked_file(self, path: str) -> Path:
        """Return the file whose first bytes may be a byte order mark."""
        return self.main_file(path)

    def test_crlf_line_ends_are_accepted_with_a_warning_or_refused_row_by_row(self, folder: Path) -> None:
        if not self.is_text:
            pytest.skip("not a text container")
        path = self.write(folder, [self.row(folder, number) for number in range(3)])
        file = self.main_file(path)
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
        reader = open_reader(path)
        items = list(reader)
        assert len(items) == 3
        read = [item for item in items if isinstance(item, Row)]
        assert len(read) == 3 or any(isinstance(item, Dropped) for item in items)
        assert len(read) < 3 or "crlf" in {warning.code for warning in reader.warnings}


def same_json_or_bytes(left: Any, right: Any) -> bool:
    """Compare as JSON with types and order; rows of a table may hold bytes."""
    return left == right if "images" in left else same_json(left, right)
