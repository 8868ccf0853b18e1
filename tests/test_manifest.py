"""The manifest: deterministic, readable again, and able to say in words what differs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from groundprep.errors import FormatError
from groundprep.manifest import InputFile, RunConfig, difference, encode, hash_inputs, read_config, read_manifest

CONFIG = RunConfig(
    "convert", (InputFile("é.jsonl", 7, "ab"),), {"limit": None, "from": ["rexthinker"]}, {"profile": "easyr1"}
)


def test_equal_values_give_equal_bytes_whatever_the_order_of_keys() -> None:
    other = msgspec.structs.replace(CONFIG, flags=dict(reversed(CONFIG.flags.items())))
    assert encode(CONFIG) == encode(other)
    assert encode(CONFIG).endswith(b"}\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"command": "sample"}, "`convert`, not `sample`"),
        ({"inputs": ()}, "input files"),
        ({"inputs": (InputFile("é.jsonl", 7, "cd"),)}, "input files"),
        ({"flags": {"limit": 3, "from": ["rexthinker"]}}, "limit was None, now 3"),
        ({"flags": {"limit": None}}, "from was ['rexthinker'], now None"),
        ({"flags": {"limit": None, "from": ["rexthinker", "coco"]}}, "from[1] was not there, now 'coco'"),
        ({"profile": None}, "profile was easyr1"),
    ],
)
def test_a_difference_is_named(change: dict[str, object], words: str) -> None:
    assert words in (difference(CONFIG, msgspec.structs.replace(CONFIG, **change)) or "")


def test_a_profile_of_the_same_name_is_told_by_the_one_number_that_differs() -> None:
    from groundprep.trainers import get_profile

    profile = get_profile("rexthinker")
    trainer, converter = (
        msgspec.structs.replace(CONFIG, profile=p.as_metadata()) for p in (profile, profile.as_converter())
    )
    words = difference(trainer, converter) or ""
    assert words.startswith(f"the profile {profile.full_name}: chain[")
    assert "{" not in words
    assert words.endswith("].op was 'sqrt-limit', now 'smart-resize'")
    lower = msgspec.structs.replace(CONFIG, profile=profile.with_limits(3136, None).as_metadata())
    assert (difference(trainer, lower) or "").endswith("min_pixels was 12544, now 3136")


def test_the_same_content_under_another_path_is_no_difference() -> None:
    moved = msgspec.structs.replace(CONFIG, inputs=(InputFile("b/狗.jsonl", 7, "ab"),))
    assert difference(CONFIG, moved) is None


def test_inputs_are_known_by_size_and_sha256(tmp_path: Path) -> None:
    path = tmp_path / "é.jsonl"
    path.write_bytes(b"x" * 100_000)
    assert hash_inputs([path]) == (InputFile(str(path), 100_000, hashlib.sha256(b"x" * 100_000).hexdigest()),)
    with pytest.raises(FormatError):
        hash_inputs([tmp_path / "fehlt"])


def test_a_missing_manifest_is_none_a_broken_one_an_error_and_a_torn_state_nothing(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    assert read_manifest(path) is None
    path.write_bytes(encode(CONFIG)[:40])
    with pytest.raises(FormatError) as caught:
        read_manifest(path)
    assert caught.value.code == "bad-manifest"
    assert read_config(path) is None
    path.write_bytes(encode(CONFIG))
    read_back = read_config(path)
    assert read_back is not None
    assert difference(CONFIG, read_back) is None
