"""The directories that a container's overlay filesystem is made of, from its mount options."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from sensor.container.mounts import unescape_octal

_COLON: Final = re.compile(rb"(?<!\\):")
_COLON_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Layers:
    """Directories of an overlay mount: `lowers` from top to bottom are the image, `upper` is the container's."""

    lowers: tuple[bytes, ...]
    upper: bytes


def parse_options(options: bytes) -> Layers | None:
    """Return the layers from an overlay's options in mountinfo; None where they are incomplete, or all relative.

    Of many layers containerd and podman name only the last parts, so that they fit a page: from the directory
    that holds those of all containers, the upper layer's too (containerd, mount/mount_linux.go).
    The kernel writes commas, blanks and backslashes in octal; below that, overlay's own `\\:` is a colon
    in a name. Newer kernels may show one `lowerdir+=` per layer, without that second escape.
    """
    lowers: list[bytes] = []
    upper = b""
    for option in options.split(b","):
        key, _, raw = option.partition(b"=")
        value = unescape_octal(raw)
        if key == b"lowerdir":
            lowers += [_COLON_ESCAPE.sub(rb"\1", part) for part in _COLON.split(value) if part]
        elif key == b"lowerdir+":
            lowers.append(value)
        elif key == b"upperdir":
            upper = value
    if not lowers or not upper.startswith(b"/"):
        return None
    shared = upper.rsplit(b"/", 2)[0]
    return Layers(tuple(lower if lower.startswith(b"/") else shared + b"/" + lower for lower in lowers), upper)
