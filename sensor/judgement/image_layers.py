"""An image's layers on disk: which file the image shows at a path, and which of its files has a given content."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from typing import TYPE_CHECKING, Final

from sensor.files.handles import OpenFile, look_up, open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.container.overlay import Layers
    from sensor.files.hashing import Hasher

OPAQUE: Final = ("trusted.overlay.opaque", "user.overlay.opaque")
METACOPY: Final = ("trusted.overlay.metacopy", "user.overlay.metacopy")
MAX_INDEXED: Final = 200_000
"""Executables of one layer that its index holds."""
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_NO_FILE: Final = _ABSENT | {errno.ELOOP, errno.EINVAL, errno.ENAMETOOLONG}
"""Nothing there, or a symlink, a device, a directory. Any other error says nothing of what the layer holds."""


def open_in_image(layers: Layers, path: bytes) -> OpenFile | None:
    """Open the regular file that the image shows at `path` (from `/`, free of symlinks), or None.

    A whiteout, an opaque directory, or anything else in the way hides what lies below, as overlay does: a file that
    the image deleted and somebody brought back is not the image's. Raises OSError where a layer can't be read, as from
    a failing disk: what it holds is unknown then.
    """
    for layer in layers.lowers:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), open_directory(layer) as root:
            found = _open_below(root, path)
            if found is not None or _hides(root, path):
                return found
    return None


def in_upper(layers: Layers, path: bytes) -> bool:
    """Whether the container's own layer has something at `path`, or can't be looked into from here."""
    with contextlib.ExitStack() as held:
        try:
            root = held.enter_context(open_directory(layers.upper))
        except OSError:
            return True  # of a runtime within a container: its directories are in a mount namespace of their own
        try:
            os.close(look_up(root, path, symlinks=False))
        except OSError as error:
            return error.errno not in _ABSENT
    return True


def open_in_upper(layers: Layers, path: bytes) -> OpenFile | None:
    """Open a file of the container's own layer, once its merged view is gone.

    None where there is no such file, or its data is not in it (overlay's metacopy).
    """
    try:
        with open_directory(layers.upper) as root:
            file = _open_below(root, path)
    except OSError:
        return None
    if file is not None and _lacks_data(file):
        file.close()
        return None
    return file


def _lacks_data(file: OpenFile) -> bool:
    """Whether its data is still in a lower layer (metacopy=on copies attributes alone); True where that is unknown."""
    try:
        return any(name in METACOPY for name in os.listxattr(f"/proc/self/fd/{file.fd}"))
    except OSError:
        return True


def _open_below(root: int, path: bytes) -> OpenFile | None:
    try:
        return OpenFile.adopt(look_up(root, path, symlinks=False))
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return None


def _hides(root: int, path: bytes) -> bool:
    """Whether this layer hides `path` in the layers below: by a non-directory on the way, or an opaque directory."""
    parts = path.strip(b"/").split(b"/")
    for end in range(1, len(parts) + 1):
        try:
            fd = look_up(root, b"/".join(parts[:end]), symlinks=False)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            return error.errno not in _ABSENT
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode) or _is_opaque(fd):
                return True
        finally:
            os.close(fd)
    return True


def _is_opaque(fd: int) -> bool:
    for name in OPAQUE:
        with contextlib.suppress(OSError):
            return os.getxattr(f"/proc/self/fd/{fd}", name) == b"y"
    return False


class ImageIndex:
    """The executables of one image by size; built on first use, bounded."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._by_size: dict[int, list[tuple[bytes, bytes]]] | None = None

    def find_copy(self, size: int, sha256: str, hasher: Hasher) -> bytes | None:
        """The path in the image of an executable with this size and content, or None."""
        if self._by_size is None:
            self._by_size = _executables_by_size(self._layers)
        # Only those of the same size are hashed, and the hasher remembers them.
        for layer, path in self._by_size.get(size, ()):
            if _layer_digest(layer, path, hasher) == sha256:
                return path
        return None


def _executables_by_size(layers: Layers) -> dict[int, list[tuple[bytes, bytes]]]:
    by_size: dict[int, list[tuple[bytes, bytes]]] = {}
    for layer in layers.lowers:
        for entry in itertools.islice(_executables(layer), MAX_INDEXED):
            size = entry.stat(follow_symlinks=False).st_size
            by_size.setdefault(size, []).append((layer, entry.path.removeprefix(layer)))
    return by_size


def _executables(layer: bytes) -> Iterator[os.DirEntry[bytes]]:
    """Regular files with any x bit below `layer`, which may itself be a symlink."""
    directories = [layer]
    while directories:
        try:
            with os.scandir(directories.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mode & 0o111:
                        yield entry
        except OSError:
            continue


def _layer_digest(layer: bytes, path: bytes, hasher: Hasher) -> str | None:
    with contextlib.suppress(OSError), open_directory(layer) as root:
        file = _open_below(root, path)
        if file is not None:
            with contextlib.closing(file):
                return hasher.digest(file)[0]
    return None
