"""The names of all files of an image in the form that the kernel program looks them up: a Bloom filter."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, Final

from sensor.container.overlay import LayersUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sensor.container.overlay import Layers

FILTER_BYTES: Final = 16 * 1024
FILTER_BITS: Final = FILTER_BYTES * 8
HASHES: Final = 4
"""False positives: 1 in 2,000 with 5,000 names, 1 in 25 with 20,000. Those execs are held instead, never killed."""
MAX_NAME: Final = 255
_OFFSET: Final = 0xCBF29CE484222325
_PRIME: Final = 0x100000001B3
"""FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/. The kernel program computes the same."""
_MASK: Final = (1 << 64) - 1


def name_filter(names: Iterable[bytes]) -> bytes:
    """Return the filter over these names: `struct name_filter` of the kernel program."""
    bits = bytearray(FILTER_BYTES)
    for name in set(names):
        for bit in _bits(name):
            bits[bit // 8] |= 1 << bit % 8
    return bytes(bits)


def may_contain(bits: bytes, name: bytes) -> bool:
    """Return whether the name may be in the filter; True for every name that it was made of."""
    return all(bits[bit // 8] >> bit % 8 & 1 for bit in _bits(name))


def _bits(name: bytes) -> Iterator[int]:
    value = _OFFSET
    for byte in name[:MAX_NAME]:
        value = (value ^ byte) * _PRIME & _MASK
    for turn in range(HASHES):
        yield value >> 16 * turn & FILTER_BITS - 1


def image_file_names(layers: Layers) -> Iterator[bytes]:
    """Yield the name of everything but directories in all layers of an image. Raises OSError where one is unreadable.

    Nothing is skipped or cut short: the kernel would kill an image's own file whose name is missing here.
    """
    if not layers.is_complete:
        raise LayersUnreadable(errno.ENOENT, "not all layers of the image can be opened")
    for layer in layers.lowers:
        directories = [layer]
        while directories:
            with os.scandir(directories.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    else:
                        yield entry.name


def image_id(layers: Layers) -> int:
    """Return one number for all images of the same layers."""
    return int.from_bytes(hashlib.blake2b(b"\0".join(layers.lowers), digest_size=8).digest(), "little")
