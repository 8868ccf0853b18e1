"""Files as loaders meet them: metadata of `datasets`, colons in paths, strangers in a directory."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate

PROBLEM = (
    'Hint: Object and its coordinates in this image: {"狗": [[7, 3, 40, 21], [2, 2, 30, 33]]}\n'
    "Please detect le chien in this image."
)
ANSWER = '```json\n[{"bbox_2d": [7, 3, 40, 21], "label": "le chien"}]\n```'
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
IMAGE = {"_type": "Image"}
CODES = ("image-column", "hf-image-feature", "colon-in-path", "not-jsonl", "stray-file")


def picture(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.effect_noise((61, 37), 60).convert("RGB").save(file, "JPEG", exif=exif)
    return file.getvalue()


def write(path: Path, images: Any, kind: pa.DataType, features: dict[str, Any] | None = None, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"images": pa.array([images], kind), "problem": ["<image>" + PROBLEM], "answer": [ANSWER]} | more
    metadata = None if features is None else {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
    return path


def found(*paths: Path, profile: str) -> list[tuple[str, str, str]]:
    config = ValidateConfig(SourceConfig(tuple(map(str, paths))), profile=profile, select=CODES)
    return [(finding.code, str(finding.severity), finding.source) for finding in validate(config).findings]


def test_rex_thinker_s_loader_takes_bytes_and_structs_without_the_feature(tmp_path: Path) -> None:
    struct = {"bytes": picture(), "path": None}
    good = write(tmp_path / "a.parquet", picture(), pa.binary())
    also = write(tmp_path / "b.parquet", struct, STRUCT)
    ignored = write(tmp_path / "c.parquet", picture(6), pa.binary(), {"images": IMAGE})
    bad = write(tmp_path / "é.parquet", struct, STRUCT, {"images": IMAGE})
    for path in (good, also, ignored):
        assert found(path, profile="rexthinker") == []
    assert found(bad, profile="rexthinker") == [("image-column", "error", str(bad))]


@pytest.mark.parametrize(
    "feature",
    [{"feature": IMAGE, "_type": "Sequence"}, {"feature": IMAGE, "_type": "List"}, [IMAGE]],
    ids=["Sequence", "List", "legacy"],
)
def test_the_image_feature_is_told_of_where_it_turns_an_image(tmp_path: Path, feature: Any) -> None:
    def images(orientation: int) -> list[dict[str, Any]]:
        return [{"bytes": picture(orientation), "path": None}]

    turned = write(tmp_path / "turned.parquet", images(6), pa.list_(STRUCT), {"images": feature})
    upright = write(tmp_path / "upright.parquet", images(1), pa.list_(STRUCT), {"images": feature})
    plain = write(tmp_path / "plain.parquet", images(6), pa.list_(STRUCT))
    assert found(turned, profile="easyr1") == [("hf-image-feature", "warning", str(turned))]
    assert found(upright, profile="easyr1") == found(plain, profile="easyr1") == []


def test_a_further_column_of_pictures_is_told_of(tmp_path: Path) -> None:
    images = [{"bytes": picture(), "path": None}]
    more = {"depth": pa.array([picture()], pa.binary())}
    bad = write(tmp_path / "a.parquet", images, pa.list_(STRUCT), {"depth": IMAGE, "nirgends": IMAGE}, **more)
    assert found(bad, profile="easyr1") == [("hf-image-feature", "warning", str(bad))]
    assert found(write(bad, images, pa.list_(STRUCT), {"depth": {"_type": "Value"}}, **more), profile="easyr1") == []


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"info": {"features": []}}', b"[" * 100_000])
def test_metadata_that_is_none_is_no_finding(tmp_path: Path, metadata: bytes) -> None:
    images = [{"bytes": picture(6), "path": None}]
    path = write(tmp_path / "a.parquet", images, pa.list_(STRUCT))
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": metadata}), path)
    assert found(path, profile="easyr1") == []


def vlmr1(path: Path, image: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    question = "<image>Please provide the bounding box coordinate of the region this sentence describes: le chien."
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": "[7.5, 3, 40, 21]"}]
    path.write_text(json.dumps({"image": image, "conversations": turns}) + "\n", encoding="utf-8")
    return path


def test_a_colon_in_the_path_of_a_file_or_of_its_images_is_an_error_for_vlm_r1(tmp_path: Path) -> None:
    plain, odd = tmp_path / "daten", tmp_path / "lauf-12:30"
    for directory in (plain, odd):
        directory.mkdir()
        (directory / "é.jpg").write_bytes(picture())
        (directory / "12:30.jpg").write_bytes(picture())
    good, bad = vlmr1(plain / "a.jsonl", "é.jpg"), vlmr1(odd / "a.jsonl", "é.jpg")
    assert found(good, profile="vlmr1") == found(vlmr1(plain / "b.jsonl", "12:30.jpg"), profile="vlmr1") == []
    assert found(bad, profile="vlmr1") == [("colon-in-path", "error", str(bad))] * 2
    rooted = ValidateConfig(SourceConfig((str(good),), image_root=str(odd)), profile="vlmr1", select=CODES)
    assert [finding.found for finding in validate(rooted).findings] == [f"{odd}/"]
    assert found(bad, profile="qwen3-vl") == []  # to be converted


def test_a_json_array_is_no_file_for_vlm_r1_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "é.jpg").write_bytes(picture())
    lines = vlmr1(tmp_path / "a.jsonl", "é.jpg")
    assert found(lines, profile="vlmr1") == []
    for name in ("b.json", "c.jsonl"):
        array = tmp_path / name
        array.write_text(f"\ufeff\n[{lines.read_text(encoding='utf-8')}]", encoding="utf-8")
        assert found(array, profile="vlmr1") == [("not-jsonl", "error", str(array))]
        assert found(array, profile="qwen2.5-vl") == []  # to be converted


def test_strangers_in_a_directory_that_is_read_as_a_whole_are_told_of(tmp_path: Path) -> None:
    images = [{"bytes": picture(), "path": None}]
    shards = [write(tmp_path / "daten" / f"{n}.parquet", images, pa.list_(STRUCT)) for n in range(2)]
    assert found(*shards, profile="easyr1") == []
    for name in (".DS_Store", "README.md", "übrig.parquet", "z"):
        (tmp_path / "daten" / name).write_bytes(b"x")
    config = ValidateConfig(SourceConfig(tuple(map(str, shards))), profile="easyr1", select=CODES)
    (finding,) = validate(config).findings
    assert (finding.code, finding.source) == ("stray-file", str(tmp_path / "daten"))
    assert finding.found == ".DS_Store, README.md, z and 1 more"
    assert found(shards[0], profile="easyr1") == []  # a single file is named to the trainer
