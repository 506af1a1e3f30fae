"""Files of the node by their paths there, symlinks included, also where the sensor runs in a container."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.files.handles import look_up, open_directory
from sensor.files.regular import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 1024 * 1024
MAX_FOUND: Final = 64
"""Names that one pattern may find."""


class NodeTree:
    """The files below the node's root directory, which is `root` here. A symlink to `/x` means the node's `/x`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: Path | str) -> bytes:
        """Return a regular file's content. Raises OSError for anything else, and for one of more than a MiB."""
        with self._held(path) as handle:
            return read_regular(Path(f"/proc/self/fd/{handle}"), MAX_BYTES)

    def is_directory(self, path: Path | str) -> bool:
        """Return whether a path is that of a directory that can be looked at."""
        with contextlib.suppress(OSError), self._held(path) as handle:
            return stat.S_ISDIR(os.fstat(handle).st_mode)
        return False

    def glob(self, pattern: str) -> list[Path]:
        """Return the node's paths of an absolute pattern as of glob(7), at most MAX_FOUND, in their order."""
        found = [Path("/")]
        for part in pattern.strip("/").split("/"):
            has_wildcard = any(character in part for character in "*?[")
            found = [more for path in found for more in (self._named(path, part) if has_wildcard else [path / part])]
            found = found[:MAX_FOUND]
        return [Path(os.path.normpath(path)) for path in found]

    def _named(self, directory: Path, pattern: str) -> list[Path]:
        with contextlib.suppress(OSError), self._held(directory) as handle:
            names = sorted(fnmatch.filter(os.listdir(f"/proc/self/fd/{handle}"), pattern))  # noqa: PTH208 - names alone
            # A wildcard does not stand for the dot of a hidden file.
            return [directory / name for name in names if pattern.startswith(".") or not name.startswith(".")]
        return []

    @contextlib.contextmanager
    def _held(self, path: Path | str) -> Iterator[int]:
        with open_directory(bytes(self._root)) as root:
            handle = look_up(root, os.fsencode(path))
            try:
                yield handle
            finally:
                os.close(handle)
