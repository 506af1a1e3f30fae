"""The directories that a container's overlay filesystem is made of: from its mount options, or its runtime's record."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from typing import TYPE_CHECKING, Final

from sensor.container.mounts import mount_id, unescape_octal
from sensor.files.handles import file_status, open_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LINK_LENGTH: Final = len("/l/") + 26
_LINK: Final = re.compile(rb"/l/[A-Z0-9]{26}")
"""How containers/storage names the link to a layer, for short (drivers/overlay)."""
_COLON: Final = re.compile(rb"(?<!\\):")
_COLON_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_DATA_ONLY: Final = re.compile(rb"(?<!\\)::")
"""Before each lower directory of which no path shows, but data that files of the others have (composefs)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Layers:
    """Directories of an overlay mount: `lowers` from top to bottom are the image, `upper` is the container's.

    Not `is_complete` where one of the lowers can't be opened from here: what the image has is unknown then.
    `has_data_apart`: files of the lowers may have their data elsewhere.
    """

    lowers: tuple[bytes, ...]
    upper: bytes
    is_complete: bool = True
    has_data_apart: bool = False


class LayersUnreadable(OSError):
    """An image's layer can't be looked into: nothing can be said of what the image has."""


def usable_layers(mounted: Layers | None, recorded: Callable[[], Layers | None]) -> Layers | None:
    """Return the layers that can be opened from here: those that the mount names, else those of the runtime's record.

    A mount with mapped ids names directories that were there only while it was made. None where neither is known;
    not `is_complete` where no way leads to all of the image's layers.
    """
    if mounted is not None and _is_intact(mounted):
        return mounted
    record = recorded()
    if mounted is None:
        return record if record is None or _is_openable(record) else dataclasses.replace(record, is_complete=False)
    record = _with_shared_layers(record, mounted) if record is not None else None
    # The mount's own upper layer is never a temporary one: by it the record proves to be of this very filesystem.
    if record is not None and _is_openable(record) and _is_same_directory(record.upper, mounted.upper):
        return dataclasses.replace(record, upper=mounted.upper)
    return dataclasses.replace(mounted, is_complete=False)


def _with_shared_layers(record: Layers, mounted: Layers) -> Layers:
    """Return the record, with the links that are in another image store (storage.conf(5)) as the mount has them.

    Such a link has a random name, the same in both. Below the container's own storage it is a temporary mount's.
    """
    storage = mounted.upper.rsplit(b"/", 2)[0] + b"/"
    links = {lower[-_LINK_LENGTH:]: lower for lower in mounted.lowers if not lower.startswith(storage)}
    lowers = (
        links.get(lower[-_LINK_LENGTH:], lower) if _LINK.fullmatch(lower[-_LINK_LENGTH:]) else lower
        for lower in record.lowers
    )
    return dataclasses.replace(record, lowers=tuple(lowers))


def _is_openable(layers: Layers) -> bool:
    return all(_mount_id(lower) is not None for lower in layers.lowers)


def _is_intact(layers: Layers) -> bool:
    """Return whether each lower is there to stay: not on a mount of its own, which is unmounted in a moment or was."""
    storage = layers.upper.rsplit(b"/", 2)[0] + b"/"
    own = _mount_id(layers.upper)
    for lower in layers.lowers:
        # A path below /proc means another directory to each process that opens it.
        if lower.startswith(b"/proc/") or own is None or _mount_id(lower) != own:
            return False
        # Where a temporary mount was, its empty mount point may be left: of composefs below the storage too.
        if (layers.has_data_apart or not lower.startswith(storage)) and not _has_entries(lower):
            return False
    return True


def _mount_id(directory: bytes) -> int | None:
    """Return the id of the mount that a directory is on; None where it can't be opened."""
    with contextlib.suppress(OSError), open_directory(directory) as fd:
        return mount_id(fd)
    return None


def _has_entries(directory: bytes) -> bool:
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        return next(entries, None) is not None
    return False


def _is_same_directory(first: bytes, second: bytes) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(first, second)  # noqa: PTH121 - bytes
    return False


def shows_more(root: bytes, dev: int, layers: Layers, since_ns: int) -> bool:
    """Return whether a mounted overlay has at its top what none of these layers has: they can't be all of it then.

    `root` is where the overlay with this device is mounted. What was changed after `since_ns`, the start of its
    container, does not count: that may come and go meanwhile. Raises OSError.
    """
    with open_directory(root) as fd:
        if file_status(fd).dev != dev:
            return False
        with os.scandir(f"/proc/self/fd/{fd}/".encode()) as entries:
            shown = [entry.name for entry in entries if entry.stat(follow_symlinks=False).st_ctime_ns < since_ns]
    return not all(_has_any(name, (*layers.lowers, layers.upper)) for name in shown)


def _has_any(name: bytes, directories: Iterable[bytes]) -> bool:
    return any(os.path.lexists(directory + b"/" + name) for directory in directories)


def parse_options(options: bytes) -> Layers | None:
    """Return the layers from an overlay's options in mountinfo; None where they are incomplete, or all relative.

    Of many layers containerd and podman name only the last parts, so that they fit a page: from the directory
    that holds those of all containers, the upper layer's too (containerd, mount/mount_linux.go).
    The kernel writes commas, blanks and backslashes in octal; below that, overlay's own `\\:` is a colon
    in a name. Newer kernels may show one `lowerdir+=` per layer, without that second escape.
    Directories with data alone (`::`, `datadir+=`) are no layers.
    """
    lowers: list[bytes] = []
    upper = b""
    has_data_apart = False
    for option in options.split(b","):
        key, _, raw = option.partition(b"=")
        value = unescape_octal(raw)
        if key == b"lowerdir":
            layers, *data = _DATA_ONLY.split(value)
            has_data_apart = has_data_apart or bool(data)
            lowers += [_COLON_ESCAPE.sub(rb"\1", part) for part in _COLON.split(layers) if part]
        elif key == b"lowerdir+":
            lowers.append(value)
        elif key == b"datadir+":
            has_data_apart = True
        elif key == b"upperdir":
            upper = value
    if not lowers or not upper.startswith(b"/"):
        return None
    shared = upper.rsplit(b"/", 2)[0]
    paths = tuple(lower if lower.startswith(b"/") else shared + b"/" + lower for lower in lowers)
    return Layers(paths, upper, has_data_apart=has_data_apart)


def image_layers(options: bytes) -> Layers | None:
    """Return the layers of an image that is mounted by itself, with an upper layer or without one; None as above."""
    found = parse_options(options) or parse_options(options + b",upperdir=/")
    if found is None or not all(lower.startswith(b"/") for lower in found.lowers):
        return None
    return found
