"""The toy data: its files are as drawn, each expression has one meaning, and groundprep writes the same bytes."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from toy_data import build
from toy_data.build import ToyData, ToyImage, draw_everything, text_files
from toy_data.check import boxes_of, check, easyr1_seen_wh
from toy_data.expressions import Expression, Words, is_beside, solve, text_of
from toy_data.scenes import COLOURS, SHAPES, SIZES_WH, SceneObject

TOY = Path(build.__file__).parent
ENGLISH = re.compile(
    r"(?P<head>the|every) (?P<extreme>leftmost |rightmost |largest |smallest )?(?P<scale>small |large )?"
    rf"(?P<colour>(?:{'|'.join(COLOURS)}) )?(?P<shape>{'|'.join(SHAPES)})"
    rf"(?: (?P<direction>left of|right of|above|below) the (?P<acolour>(?:{'|'.join(COLOURS)}) )?(?P<ashape>{'|'.join(SHAPES)}))?"
)


@pytest.fixture(scope="module")
def toy() -> ToyData:
    return draw_everything()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files, to be damaged."""
    root = tmp_path / "toy"
    root.mkdir()
    for path in TOY.iterdir():
        if path.name in ("images", "photos"):
            shutil.copytree(path, root / path.name)
        elif path.name.startswith(("toy.", "photos.")):
            shutil.copy(path, root / path.name)
    return root


def centre(item: SceneObject) -> tuple[float, float]:
    x0, y0, x1, y1 = item.box_xyxy
    return (x0 + x1) / 2, (y0 + y1) / 2


def meant_by(text: str, objects: tuple[SceneObject, ...]) -> set[int]:
    """Read an English expression as a person would; independent of toy_data.expressions."""
    match = ENGLISH.fullmatch(text)
    assert match is not None, text
    words = {name: (value or "").strip() for name, value in match.groupdict().items()}
    found = [
        index
        for index, item in enumerate(objects)
        if item.shape == words["shape"] and words["colour"] in ("", item.colour) and words["scale"] in ("", item.scale)
    ]
    if words["direction"]:
        anchors = [o for o in objects if o.shape == words["ashape"] and words["acolour"] in ("", o.colour)]
        assert len(anchors) == 1, text
        x, y = centre(anchors[0])
        test = {
            "left of": lambda c: c[0] < x,
            "right of": lambda c: c[0] > x,
            "above": lambda c: c[1] < y,
            "below": lambda c: c[1] > y,
        }[words["direction"]]
        found = [index for index in found if test(centre(objects[index]))]
    if words["extreme"]:
        key = {
            "leftmost": lambda i: centre(objects[i])[0],
            "rightmost": lambda i: -centre(objects[i])[0],
            "smallest": lambda i: objects[i].box_xyxy[2] - objects[i].box_xyxy[0],
            "largest": lambda i: objects[i].box_xyxy[0] - objects[i].box_xyxy[2],
        }[words["extreme"]]
        found = sorted(found, key=key)[:1]
    return set(found)


def test_the_committed_files_are_as_drawn(toy: ToyData) -> None:
    assert check(TOY, toy, text_files(toy)) == []


def test_every_english_expression_means_its_answers_to_another_reader(toy: ToyData) -> None:
    images = {image.name: image for image in toy.images}
    english = 0
    for row in toy.rows:
        if row["referring"].split()[0] not in ("the", "every"):
            continue
        english += 1
        image = images[row["image_name"]]
        meant = [list(image.boxes_xyxy[index]) for index in sorted(meant_by(row["referring"], image.objects))]
        assert boxes_of(row) == meant, row
    assert english >= 50


def test_the_data_has_the_cases_that_it_promises(toy: ToyData) -> None:
    assert len(toy.rows) >= 48
    assert len(toy.images) >= 24
    answers = Counter(min(len(boxes_of(row)), 2) for row in toy.rows)
    assert min(answers[0], answers[2]) >= 8
    assert answers[1] >= 40
    assert sum(not row["referring"].isascii() for row in toy.rows) >= 8
    assert sum(bool(re.search("left of|right of|above|below", row["referring"])) for row in toy.rows) >= 8
    assert {len(image.objects) for image in toy.images} == {1, 2, 3, 4, 5, 6}
    assert len({row["id"] for row in toy.rows}) == len(toy.rows)
    assert any(row["image_name"].count("/") == 2 for row in toy.rows)


def test_no_stored_image_is_square_and_two_formats_are_there() -> None:
    kinds, sizes = Counter(), set()
    for path in TOY.glob("images/**/*.*"):
        with Image.open(path) as image:
            assert image.width != image.height
            kinds[image.format, image.mode] += 1
            sizes.add(image.size)
    assert kinds["PNG", "L"] == 1
    assert kinds["PNG", "RGBA"] == 1
    assert kinds["PNG", "RGB"] >= 2
    assert kinds["JPEG", "RGB"] >= 16
    assert sizes >= set(SIZES_WH)


def test_the_turned_image_shows_its_objects_where_the_boxes_of_the_stored_pixels_say(toy: ToyData) -> None:
    (image,) = (image for image in toy.images if image.variant == "exif")
    with Image.open(TOY / image.name) as stored:
        assert stored.getexif()[build.EXIF_ORIENTATION_TAG] == 6
        assert stored.size == SIZES_WH[image.number % len(SIZES_WH)][::-1]
        for item, (x0, y0, x1, y1) in zip(image.objects, image.boxes_xyxy, strict=True):
            seen = stored.getpixel((round((x0 + x1) / 2), round((y0 + y1) / 2)))
            assert sum(abs(a - b) for a, b in zip(seen, COLOURS[item.colour], strict=True)) < 90
    assert not any(
        re.search("left|right|above|below", row["referring"]) for row in toy.rows if row["image_name"] == image.name
    )


def test_candidates_hold_every_answer_and_all_objects_of_the_category(toy: ToyData) -> None:
    images = {image.name: image for image in toy.images}
    first = 0
    for row in toy.candidate_rows:
        candidates = [candidate["bbox"] for candidate in row["candidate_boxes"]]
        image = images[row["image_name"]]
        assert len(candidates) == sum(item.shape == row["category"] for item in image.objects) >= 1
        assert all(box in candidates for box in boxes_of(row))
        first += len(boxes_of(row)) == 1 < len(candidates) and candidates[0] == row["ans"]
    assert first < sum(len(row["candidate_boxes"]) > 1 for row in toy.candidate_rows)


@pytest.mark.parametrize("source", ["toy.rexomni.jsonl", "toy.rexthinker.jsonl", "toy.rexthinker.json"])
def test_groundprep_writes_the_committed_tsv_to_the_byte(source: str, tmp_path: Path) -> None:
    convert(ConvertConfig(SourceConfig((str(TOY / source),)), str(tmp_path / "toy"), to="tsv"))
    for suffix in (".images.tsv", ".annotations.tsv", ".annotations.tsv.lineidx"):
        assert (tmp_path / f"toy{suffix}").read_bytes() == (TOY / f"toy{suffix}").read_bytes()


def test_groundprep_reads_the_committed_tsv_back_to_the_same_annotations(tmp_path: Path) -> None:
    dst = tmp_path / "back.jsonl"
    convert(ConvertConfig(SourceConfig((str(TOY / "toy"),)), str(dst), image_out=str(tmp_path / "images")))
    rows = [json.loads(line) for line in dst.read_text().splitlines()]
    omni = [json.loads(line) for line in (TOY / "toy.rexomni.jsonl").read_text().splitlines()]
    assert [row["annotation"] for row in rows] == [row["annotation"] for row in omni]
    for back, row in zip(rows, omni, strict=True):
        assert (tmp_path / "images" / back["image_name"]).read_bytes() == (TOY / row["image_name"]).read_bytes()


def damage_pixel(root: Path) -> str:
    name = "images/scene_02.png"
    with Image.open(root / name) as image:
        image.load()
        image.putpixel((7, 5), (1, 2, 3))
        image.save(root / name)
    return name


def damage_annotation(root: Path) -> str:
    path = root / "toy.rexthinker.jsonl"
    path.write_text(path.read_text().replace("toy-05-1", "toy-05-9"))
    return path.name


def damage_json(root: Path) -> str:
    path = root / "toy.rexthinker.json"
    path.write_text(path.read_text().replace("every", "each"))
    return path.name


def damage_lineidx(root: Path) -> str:
    path = root / "toy.annotations.tsv.lineidx"
    first, second, *rest = path.read_text().splitlines()
    path.write_text("\n".join([first, str(int(second) + 1), *rest]) + "\n")
    return path.name


def damage_image_offset(root: Path) -> str:
    path = root / "toy.annotations.tsv"
    lines = path.read_bytes().splitlines(keepends=True)
    last = lines[-1].split(b"\t")
    swapped = next(
        line.split(b"\t")[0]
        for line in lines
        if len(line.split(b"\t")[0]) == len(last[0]) and not line.startswith(last[0])
    )
    path.write_bytes(b"".join([*lines[:-1], swapped + b"\t" + last[1]]))
    return "toy.images.tsv"


def damage_parquet(root: Path) -> str:
    name = "toy.easyr1.parquet"
    convert(
        ConvertConfig(
            SourceConfig((str(root / "toy.candidates.rexthinker.jsonl"),)),
            str(root / name),
            profile="rexthinker",
            overwrite=True,
        )
    )
    return name


def damage_parquet_frame(root: Path) -> str:
    name = "toy.easyr1.parquet"
    source = SourceConfig((str(root / "toy.candidates.rexthinker.jsonl"),))
    convert(ConvertConfig(source, str(root / name), profile="easyr1", min_pixels=12_544, overwrite=True))
    return name


def damage_photo_box(root: Path) -> str:
    path = root / "photos.rexthinker.jsonl"
    path.write_text(path.read_text().replace("[276, 343, 512, 480]", "[276, 343, 512, 481]"))
    return path.name


def add_image(root: Path) -> str:
    name = "images/scene_99.jpg"
    shutil.copy(root / "images" / "scene_00.jpg", root / name)
    return name


def remove_image(root: Path) -> str:
    (root / "images" / "shelf" / "scene_05.jpg").unlink()
    return "images/shelf/scene_05.jpg"


@pytest.mark.parametrize(
    "damage",
    [
        damage_pixel,
        damage_annotation,
        damage_json,
        damage_lineidx,
        damage_image_offset,
        damage_parquet,
        damage_parquet_frame,
        damage_photo_box,
        add_image,
        remove_image,
    ],
)
def test_the_check_names_the_file_that_was_changed(damage: Any, copy: Path, toy: ToyData) -> None:
    name = damage(copy)
    problems = check(copy, toy, text_files(toy))
    assert any(problem.startswith(f"{name}:") for problem in problems), problems


def test_building_anew_gives_the_same_files(tmp_path: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(copy / "photos", tmp_path / "new" / "photos")
    shutil.copy(copy / "photos.rexthinker.jsonl", tmp_path / "new")
    assert build.main(["--root", str(tmp_path / "new")]) == 0
    assert build.main(["--check", "--root", str(tmp_path / "new")]) == 0
    assert "84 records over 28 scenes" in capsys.readouterr().out
    for path in (tmp_path / "new").glob("toy.*.jsonl"):
        assert path.read_bytes() == (TOY / path.name).read_bytes()


def test_the_check_exits_with_one_and_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--check", "--root", str(tmp_path)]) == 1
    assert "toy.rexthinker.jsonl: the file is missing" in capsys.readouterr().err


def item(shape: str, colour: str, box_xyxy: tuple[float, float, float, float], scale: Any = "small") -> SceneObject:
    return SceneObject(shape, colour, scale, box_xyxy)


RED, BLUE, RING = (
    item("star", "red", (10.0, 5.0, 30.0, 25.0)),
    item("star", "blue", (90.0, 40.0, 110.0, 60.0)),
    item("ring", "cyan", (50.0, 20.0, 70.0, 40.0)),
)


@pytest.mark.parametrize(
    ("expression", "meant"),
    [
        (Expression(Words("star", "red")), (0,)),
        (Expression(Words("star", "green")), ()),
        (Expression(Words("star")), None),  # two of them
        (Expression(Words("star"), every=True), (0, 1)),
        (Expression(Words("ring"), every=True), None),  # "every" of one
        (Expression(Words("star"), direction="left of", anchor=Words("ring")), (0,)),
        (Expression(Words("star"), direction="above", anchor=Words("ring")), None),  # red overlaps it on that axis
        (Expression(Words("star"), direction="left of", anchor=Words("star", "blue")), None),  # its own anchor
        (Expression(Words("star"), direction="left of", anchor=Words("cross")), None),  # no such anchor
        (Expression(Words("star"), extreme="leftmost"), (0,)),
        (Expression(Words("star"), extreme="largest"), None),  # both are 20 pixels wide
        (Expression(Words("circle")), None),  # a ring may pass for one
    ],
)
def test_the_solver_refuses_what_people_could_read_in_two_ways(expression: Expression, meant: Any) -> None:
    assert solve(expression, [RED, BLUE, RING]) == meant


def test_beside_is_uncertain_where_boxes_overlap_on_the_axis() -> None:
    assert is_beside((0, 0, 10, 10), (12, 0, 20, 10), "left of") is True
    assert is_beside((0, 0, 10, 10), (12, 0, 20, 10), "right of") is False
    assert is_beside((0, 0, 10, 10), (9, 30, 20, 40), "left of") is None
    assert is_beside((0, 0, 10, 10), (9, 30, 20, 40), "above") is True


def test_expressions_are_grammatical_in_four_languages() -> None:
    def said(shape: str, colour: str, language: str) -> str:
        return text_of(Expression(Words(shape, colour), language=language))

    assert said("triangle", "green", "de") == "das grüne Dreieck"
    assert said("star", "cyan", "de") == "der türkise Stern"
    assert said("star", "blue", "ru") == "синяя звезда"
    assert said("ring", "yellow", "ru") == "жёлтое кольцо"
    assert said("cross", "cyan", "ru") == "голубой крест"
    assert said("star", "red", "ja") == "赤い星"
    relation = Expression(Words("star", "red", "small"), direction="left of", anchor=Words("ring"))
    assert text_of(relation) == "the small red star left of the ring"


@pytest.mark.parametrize(
    ("size_wh", "seen_wh"), [((500, 375), (588, 448)), ((1920, 1080), (1932, 1092)), ((640, 480), (644, 476))]
)
def test_the_checks_own_resize_chain_agrees_with_measured_sizes(
    size_wh: tuple[int, int], seen_wh: tuple[int, int]
) -> None:
    # Measured with EasyR1's defaults (specs/rexthinker.md, table of P2).
    assert easyr1_seen_wh(size_wh) == seen_wh


def test_a_jpeg_of_another_pillow_may_differ_a_little_and_not_much(copy: Path, toy: ToyData) -> None:
    versions = json.loads((copy / "toy.versions.json").read_text())
    (copy / "toy.versions.json").write_text(json.dumps(versions | {"pillow": "1.0"}))
    image: ToyImage = toy.images[0]
    path = copy / image.name

    def pixel_problems(quality: int) -> list[str]:
        Image.fromarray(image.pixels).save(path, "JPEG", quality=quality)
        return [p for p in check(copy, toy, text_files(toy)) if p.startswith(f"{image.name}: pixels")]

    assert pixel_problems(91) == []
    assert pixel_problems(20) != []
