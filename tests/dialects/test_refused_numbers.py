"""Numbers that are refused: the row says where they stand."""

from __future__ import annotations

import pickle

import pytest

from groundprep.dialects.base import ReadContext
from groundprep.dialects.refused_numbers import NumbersError
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot

CONTEXT = ReadContext(ImageRoot(None), ImageLoader())


def refused(numbers: list[float]) -> NumbersError:
    with pytest.raises(NumbersError) as caught:
        CONTEXT.box(numbers, None)
    return caught.value


def test_the_place_is_put_in_front_once_and_survives_pickling() -> None:
    error = refused([7, 3, 40])
    for _ in range(2):
        error.locate({"é": [[7, 3, 40, 21], {"bbox": [7, 3, 40]}]})
    assert error.found == "é[1].bbox: [7, 3, 40]"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.found) == (NumbersError, "box-shape", error.found)


def test_numbers_that_the_row_holds_in_text_are_told_without_a_place() -> None:
    error = refused([7, 3, 40, 1e300])
    error.locate({"answer": "[7, 3, 40, 1e300]"})
    assert (error.code, error.found) == ("number-range", "[7, 3, 40, 1e+300]")
