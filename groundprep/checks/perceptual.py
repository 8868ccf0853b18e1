"""Perceptual hashes: the same picture in other bytes, such as a resized or recompressed copy, is near; another picture is far.

The hash is ImageHash's `phash` of 16 x 16 = 256 bits. It does not find mirrored, turned or strongly cropped copies, and two
pictures of the same plain colour are equal to it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundprep.errors import MissingDependencyError

HASH_SIDE = 16
WORDS = HASH_SIDE * HASH_SIDE // 64

SIMILAR_BITS = 40
"""Hashes that differ in at most so many of 256 bits are of the same picture.

Measured by `python -m benchmarks.perceptual` (benchmarks/results/perceptual.json): no false match among 408,576 pairs of crops
of different photographs, the nearest at 62 bits; every half-size, quarter-size and quality-30 copy of whole photographs found.
"""

Hash: TypeAlias = NDArray[np.uint64]


def can_hash() -> bool:
    """Say whether the extra `similar` is installed."""
    return find_spec("imagehash") is not None


def perceptual_hash(image: Image.Image) -> Hash:
    """Return the hash of a decoded image: (4,) uint64; raises MissingDependencyError without the extra `similar`."""
    try:
        import imagehash
    except ImportError as error:
        raise MissingDependencyError(
            "comparing how images look needs an optional package",
            found="ImageHash is not installed",
            fix="pip install 'groundprep[similar]', or compare ids and bytes only with --verify header",
        ) from error
    bits = imagehash.phash(image, hash_size=HASH_SIDE).hash
    return np.packbits(bits).view(np.uint64)


class HashIndex:
    """Hashes to search; memory is 32 bytes a hash, and a search looks at each (0.1 ms per 10,000)."""

    def __init__(self, hashes: list[Hash]) -> None:
        self._hashes_N4 = np.array(hashes, np.uint64).reshape(-1, WORDS)

    def nearest(self, query: Hash) -> tuple[int, int] | None:
        """Return (index, differing bits) of the nearest hash, or None if none is within `SIMILAR_BITS`."""
        if not len(self._hashes_N4):
            return None
        bits_N = np.bitwise_count(self._hashes_N4 ^ query).sum(axis=1)
        index = int(np.argmin(bits_N))
        bits = int(bits_N[index])
        return (index, bits) if bits <= SIMILAR_BITS else None
