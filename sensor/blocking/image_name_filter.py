"""The names of all files of an image, as the kernel program can ask for them: a Bloom filter."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sensor.container.overlay import Layers

FILTER_BYTES: Final = 16 * 1024
FILTER_BITS: Final = FILTER_BYTES * 8
HASHES: Final = 4
"""With 5,000 names one of 2,000 others is taken for the image's, with 20,000 one of 25: those are held instead."""
MAX_NAME: Final = 255
_OFFSET: Final = 0xCBF29CE484222325
_PRIME: Final = 0x100000001B3
"""FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/."""
_WORD: Final = (1 << 64) - 1


def name_filter(names: Iterable[bytes]) -> bytes:
    """The filter over these names: `struct name_filter` of the kernel program."""
    bits = bytearray(FILTER_BYTES)
    for name in set(names):
        for bit in _bits(name):
            bits[bit // 8] |= 1 << bit % 8
    return bytes(bits)


def may_contain(bits: bytes, name: bytes) -> bool:
    """Whether the name may be among those that the filter was made of; True for each that is."""
    return all(bits[bit // 8] >> bit % 8 & 1 for bit in _bits(name))


def _bits(name: bytes) -> Iterator[int]:
    value = _OFFSET
    for byte in name[:MAX_NAME]:
        value = (value ^ byte) * _PRIME & _WORD
    for turn in range(HASHES):
        yield value >> 16 * turn & FILTER_BITS - 1


def image_file_names(layers: Layers) -> Iterator[bytes]:
    """The name of everything but folders in all layers of an image; raises OSError where one can't be read.

    A name that is missing here could cost an image's file its life: so nothing is skipped, nor cut short.
    """
    for layer in layers.lowers:
        folders = [layer]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        yield entry.name


def image_id(layers: Layers) -> int:
    """One number for images of the same layers."""
    return int.from_bytes(hashlib.blake2b(b"\0".join(layers.lowers), digest_size=8).digest(), "little")
