"""Regions that a trainer's rows cannot hold: taken out, counted, remembered."""

from __future__ import annotations

from groundprep.images import BytesImage, ImageRef
from groundprep.record import Box, Mask, Point, Polygon, Record, Region
from groundprep.source import Source
from groundprep.stages.hold_regions import HoldRegions

BOX = Box((7.5, 3.0, 40.0, 21.0))


def record(*regions: Region) -> Record:
    return Record(Source("é", 1), images=(ImageRef("é.png", BytesImage(b"")),), regions=regions)


def test_absent_phrases_and_regions_without_a_box_go_and_are_counted() -> None:
    both = Region("狗", box=BOX, point=Point((8.0, 4.0)))
    whole = record(
        both, Region("chat"), Region("nez", point=Point((9.0, 5.0))), Region("tache", mask=Mask((3, 5), "x"))
    )
    stage = HoldRegions(boxes_only=True)
    first, second = stage([whole, record(Region("chat"), Region("loup"))])
    assert (first.regions, second.regions) == ((both,), ())
    assert stage.absent == {"chat": 2, "loup": 1}
    lost = {name: loss["lost"] for name, loss in stage.losses.as_data().items()}
    assert lost == {"regions.absent": 3, "regions": 2, "regions.point": 1, "regions.mask": 1}
    assert stage.counts.change == 0


def test_an_outline_alone_goes_where_points_and_absent_phrases_stay_and_beside_a_box_it_stays() -> None:
    outline = Polygon(((1.0, 2.0, 9.0, 2.0, 9.0, 8.0),))
    kept = (Region("chat"), Region("nez", point=Point((9.0, 5.0))), Region("狗", box=BOX, polygon=outline))
    stage = HoldRegions(boxes_only=False)
    given = record(kept[0], Region("toit", polygon=outline), kept[1], Region("tache", mask=Mask((3, 5), "x")), kept[2])
    (taken,) = stage([given])
    assert taken.regions == kept
    assert {name: loss["lost"] for name, loss in stage.losses.as_data().items()} == {
        "regions": 2, "regions.polygon": 1, "regions.mask": 1,
    }  # fmt: skip
    assert stage.absent == {}


def test_what_can_be_held_is_the_very_record_and_only_looked_at() -> None:
    records = [record(Region("狗", box=BOX), Region("chat"), Region("nez", point=Point((9.0, 5.0)))), record()]
    stage = HoldRegions(boxes_only=False)
    assert [kept is given for kept, given in zip(stage(records), records, strict=True)] == [True, True]
    assert (stage.boxes, stage.points, stage.absent) == (1, 1, {})
    assert not stage.losses.fields
    boxes = record(Region("狗", box=BOX))
    assert next(iter(HoldRegions(boxes_only=True)([boxes]))) is boxes
