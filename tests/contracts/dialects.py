"""What every dialect promises. Subclass DialectContract for a dialect of your own and set `name` and `rows`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundprep.containers import Row
from groundprep.dialects import DIALECTS, ReadContext, WriteContext, detect_dialect
from groundprep.errors import PayloadError, RecordError
from groundprep.images import Location
from groundprep.losses import Losses
from groundprep.profile import RowFrame
from groundprep.record import Record
from groundprep.source import Source
from tests.contracts.samples import PIXEL_FRAME, SIZE_WH, image_root, loader, make_image, same_json

IMAGE_NAME = "bilder/straße 狗.png"

EXAMPLES = settings(
    deadline=None,
    max_examples=60,
    # The folder holds one image that no example changes; subclasses share the test functions.
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
    ],
)

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
phrases = words.filter(str.strip)
number = st.integers(-20, 700) | st.floats(-20, 700, allow_nan=False, width=32)
box = st.lists(number, min_size=4, max_size=4)
point = st.lists(number, min_size=2, max_size=2)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(-1e9, 1e9) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)


def extras(*known: str) -> st.SearchStrategy[dict[str, Any]]:
    """Further keys of a row, which every dialect keeps."""
    return st.dictionaries(words.filter(lambda key: key not in known), json_value, max_size=2)


def shuffled(value: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The same object with its keys in any order."""
    return st.permutations(list(value.items())).map(dict)


class DialectContract:
    """Tests that hold for every dialect.

    Attributes:
        name: the dialect's name in the registry.
        container: one of its containers.
        rows: valid rows, each with an image named IMAGE_NAME if it names one.
        frame: the frame of the rows.
    """

    name: ClassVar[str]
    container: ClassVar[str]
    rows: ClassVar[st.SearchStrategy[dict[str, Any]]]
    frame: ClassVar[RowFrame] = PIXEL_FRAME

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        make_image(tmp_path / IMAGE_NAME, SIZE_WH)
        return tmp_path

    def location(self, folder: Path) -> Location | None:
        """Return where the container keeps the row's image, if it does."""
        del folder
        return None

    def parsed(self, value: Any, folder: Path) -> Record:
        row = Row(Source("é.jsonl", 7), value, self.location(folder))
        return DIALECTS[self.name].parse(row, ReadContext(image_root(folder), loader(), self.frame))

    def formatted(self, record: Record, losses: Losses | None = None, frame: RowFrame | None = None) -> dict[str, Any]:
        context = WriteContext(self.container, loader(), frame or self.frame, Losses() if losses is None else losses)
        return DIALECTS[self.name].format(record, context).value

    def comparable(self, value: Any) -> Any:
        """Return a row as plain JSON, for comparing."""
        return value

    @EXAMPLES
    @given(data=st.data())
    def test_a_row_comes_back_equal_with_its_number_types_key_order_and_unknown_keys(
        self, folder: Path, data: st.DataObject
    ) -> None:
        value = data.draw(self.rows)
        before = copy.deepcopy(value)
        losses = Losses()
        written = self.formatted(self.parsed(value, folder), losses)
        assert same_json(self.comparable(written), self.comparable(before))
        assert losses.is_lossless, losses.as_data()
        assert same_json(self.comparable(value), self.comparable(before)), "the row that was read has been changed"

    @EXAMPLES
    @given(data=st.data())
    def test_a_row_is_detected_as_this_dialect(self, folder: Path, data: st.DataObject) -> None:
        value = data.draw(self.rows)
        assert DIALECTS[self.name].matches(value, self.container)
        assert detect_dialect([value], container=self.container, path="é").name == self.name

    @EXAMPLES
    @given(data=st.data())
    def test_a_damaged_row_is_carried_or_refused_but_never_a_crash(self, folder: Path, data: st.DataObject) -> None:
        value = copy.deepcopy(data.draw(self.rows))  # a strategy may give the same object twice
        holder, key = data.draw(st.sampled_from(list(places(value))))
        if data.draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = data.draw(json_value | st.just([]) | st.just([[1, 2]]) | st.just(10**400) | st.just(1e308))
        try:
            written = self.formatted(self.parsed(value, folder))
        except (RecordError, PayloadError) as error:
            assert error.code  # noqa: PT017 (a row may also be carried)
            assert "\n" not in str(error)  # noqa: PT017 (the same)
        else:
            assert same_json(self.comparable(written), self.comparable(value))

    def test_it_lives_in_containers_that_exist_and_says_what_it_is(self) -> None:
        from groundprep.containers import CONTAINERS

        dialect = DIALECTS[self.name]
        assert dialect.name == self.name
        assert set(dialect.containers) <= set(CONTAINERS)
        assert self.container in dialect.containers
        assert dialect.title
        assert dialect.unit in ("expression", "category", "image")

    def test_its_row_type_has_a_json_schema(self) -> None:
        assert msgspec.json.schema(DIALECTS[self.name].row_type)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) inside a JSON value."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from places(item)
