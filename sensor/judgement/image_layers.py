"""An image's layers on disk: which file the image shows at a path, and which of its files has a given content."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from typing import TYPE_CHECKING, Final

from sensor.container.overlay import LayersUnreadable
from sensor.container.recent import Recent
from sensor.files.handles import OpenFile, look_up, open_directory, open_file
from sensor.judgement.decide import ImageFacts, Original

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.container.base import VolumeImage
    from sensor.container.overlay import Layers
    from sensor.files.hashing import Hasher
    from sensor.judgement.decide import Content

OPAQUE: Final = ("trusted.overlay.opaque", "user.overlay.opaque")
METACOPY: Final = ("trusted.overlay.metacopy", "user.overlay.metacopy")
PAGE_BYTES: Final = 4_096
MAX_INDEXES: Final = 64
"""Images whose index of executables is kept."""
MAX_DIRECTORIES: Final = 4_096
"""Directories of images of which it is remembered which layers have them."""
MAX_DIRECTORY_BYTES: Final = 256
"""Of a path that is remembered: a container may execute from any number of directories with longer ones."""
MAX_INDEXED: Final = 200_000
"""Executables of one layer that its index holds."""
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_NO_FILE: Final = _ABSENT | {errno.ELOOP, errno.EINVAL, errno.ENAMETOOLONG}
"""Nothing there, or a symlink, a device, a directory. Any other error says nothing of what the layer holds."""


class ImageDirectories:
    """Which layers of an image show a directory. Remembered: nothing changes in a layer. For one thread."""

    def __init__(self) -> None:
        self._known: Recent[tuple[tuple[bytes, ...], bytes], tuple[bytes, ...]] = Recent(MAX_DIRECTORIES)

    def layers_with(self, layers: Layers, directory: bytes) -> tuple[bytes, ...]:
        """Return those whose files in the directory count, topmost first; raises OSError where one can't be read."""
        lowers = _lowers(layers)
        found = self._known.get((lowers, directory))
        if found is None:
            found = tuple(_visible_layers(lowers, directory))
            if len(directory) <= MAX_DIRECTORY_BYTES:
                self._known.put((lowers, directory), found)
        return found


def _visible_layers(lowers: tuple[bytes, ...], directory: bytes) -> Iterator[bytes]:
    for layer in lowers:
        with _opened(layer) as root:
            has_it, hides = _directory_state(root, directory)
        if has_it:
            yield layer
        if hides:
            return


def _directory_state(root: int, directory: bytes) -> tuple[bool, bool]:
    """Return whether a layer has a directory, and whether it hides that of the layers below.

    It does so by anything else on the way, such as a whiteout, or by an opaque directory. Raises OSError.
    """
    hides = False
    parts = directory.strip(b"/").split(b"/") if directory.strip(b"/") else []
    for end in range(1, len(parts) + 1):
        try:
            fd = look_up(root, b"/".join(parts[:end]), symlinks=False)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            return False, hides or error.errno not in _ABSENT
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                return False, True
            hides = hides or _is_opaque(fd)
        finally:
            os.close(fd)
    return True, hides


def open_in_image(layers: Layers, path: bytes, directories: ImageDirectories | None = None) -> OpenFile | None:
    """Open the regular file that the image shows at `path` (from `/`, free of symlinks), or None.

    A whiteout, an opaque directory, or anything else in the way hides what lies below, as overlay does: a file that
    the image deleted and somebody brought back is not the image's. Raises OSError where a layer can't be read, as from
    a failing disk, or is not there: what it holds is unknown then.
    """
    is_attributes_alone = False
    for layer in (directories or ImageDirectories()).layers_with(layers, path.rpartition(b"/")[0]):
        root = _open_layer(layer)
        try:
            file = OpenFile.adopt(look_up(root, path, symlinks=False))
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            if error.errno in _ABSENT:
                continue
            if is_attributes_alone:
                raise LayersUnreadable(errno.ENODATA, "its data is at another path", path) from None
            return None
        finally:
            os.close(root)
        if not _lacks_data(file):
            return file
        # With metacopy=on a layer may have a file's attributes alone, and a layer below the data.
        file.close()
        is_attributes_alone = True
    if is_attributes_alone:
        raise LayersUnreadable(errno.ENODATA, "its data is in no layer", path)
    return None


def _lowers(layers: Layers) -> tuple[bytes, ...]:
    if not layers.is_complete:
        raise LayersUnreadable(errno.ENOENT, "not all layers of the image can be opened")
    return layers.lowers


@contextlib.contextmanager
def _opened(layer: bytes) -> Iterator[int]:
    """Yield a layer's directory; raises as `_open_layer`."""
    root = _open_layer(layer)
    try:
        yield root
    finally:
        os.close(root)


def _open_layer(layer: bytes) -> int:
    """Return a layer's directory. Raises LayersUnreadable where it is gone: "not in the image" can't be concluded."""
    try:
        return os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LayersUnreadable(error.errno, "a layer of the image is not there", layer) from None


def is_untouched(layers: Layers, path: bytes, size: int) -> bool:
    """Return whether a file of this size at `path` is the image's, with nothing in the container's own layer there."""
    if in_upper(layers, path):
        return False
    original = open_in_image(layers, path)
    if original is None:
        return False
    original.close()
    # By its size too: a path can be made to look like another file's.
    return original.size == size


def in_upper(layers: Layers, path: bytes) -> bool:
    """Return whether the container's own layer has something at `path`, or can't be looked into from here."""
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
        file = open_file(layers.upper, path, symlinks=False)
    except OSError:
        return None
    try:
        lacks_data = _lacks_data(file)
    except OSError:
        lacks_data = True
    if lacks_data:
        file.close()
        return None
    return file


def _lacks_data(file: OpenFile) -> bool:
    """Return whether a layer has a file's attributes alone, and its data is in a lower one (metacopy=on)."""
    link = f"/proc/self/fd/{file.fd}"
    if any(name in METACOPY for name in os.listxattr(link)):
        return True
    # Without SYS_ADMIN overlay's attributes do not show. Small files may have no blocks of their own on ext4.
    return file.size > PAGE_BYTES and os.stat(link).st_blocks == 0  # noqa: PTH116 - a link in /proc


def has_executables(layers: Layers, path: bytes) -> bool:
    """Return whether the image has an executable at or below `path`; True where that can't be looked at."""
    for layer in layers.lowers if layers.is_complete else ():
        try:
            with _opened(layer) as root:
                handle = look_up(root, path, symlinks=False)
        except OSError as error:
            if error.errno not in _NO_FILE or isinstance(error, LayersUnreadable):
                return True
            continue
        try:
            found = os.fstat(handle)
            if stat.S_ISREG(found.st_mode) and found.st_mode & 0o111:
                return True
            # Through the handle: a symlink of the image's on the way would lead onto the node.
            entries = _executables(f"/proc/self/fd/{handle}/".encode()) if stat.S_ISDIR(found.st_mode) else iter(())
            if next(entries, None) is not None:
                return True
        finally:
            os.close(handle)
    return not layers.is_complete


def _is_opaque(fd: int) -> bool:
    for name in OPAQUE:
        with contextlib.suppress(OSError):
            return os.getxattr(f"/proc/self/fd/{fd}", name) == b"y"
    return False


class ImageReader:
    """Reads what images have of a file. Not thread-safe; keeps indexes of images between files."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._directories = ImageDirectories()
        self._indexes: Recent[tuple[bytes, ...], ImageIndex] = Recent(MAX_INDEXES)

    def facts(self, layers: Layers | None, path: bytes, content: Content) -> ImageFacts | None:
        """Return the image's counterpart of a file of the container's own layer; None where layers are unreadable."""
        if layers is None:
            return None
        try:
            original = open_in_image(layers, path, self._directories)
        except OSError:
            return None  # of a disk that fails, or layers that are not to be opened from here
        if original is None:
            return ImageFacts(copy_of=self._copied_path(layers, content.size, content.sha256))
        return self._compared(original, content)

    def same_path(self, layers: Layers | None, path: bytes, content: Content) -> ImageFacts | None:
        """Return the image's file at this path, for a file of another filesystem; None where it has none there."""
        facts = None
        if layers is not None:
            with contextlib.suppress(OSError):
                original = open_in_image(layers, path, self._directories)
                facts = self._compared(original, content) if original is not None else None
        return facts

    def is_own_file(self, volume: VolumeImage, path: bytes, content: Content, ctime_ns: int) -> bool:
        """Return whether a file at `path` of an image's volume is what the image has there, by its layers on the node.

        By change time and size, which nobody in a container can give to another file, else by content.
        """
        if volume.layers is None:
            return False
        with contextlib.suppress(OSError):
            original = open_in_image(volume.layers, volume.below + path, self._directories)
            if original is None:
                return False
            with contextlib.closing(original):
                if (original.ctime_ns, original.size) == (ctime_ns, content.size):
                    return True
                is_alike = original.size == content.size and content.sha256 is not None
                return is_alike and self._hasher.digest_of_image(original) == content.sha256
        return False

    def _compared(self, original: OpenFile, content: Content) -> ImageFacts:
        with contextlib.closing(original):
            # Hashed only where the hash decides; an image's own file costs no container's budget.
            decides = original.size == content.size and content.sha256 is not None
            return ImageFacts(Original(original.size, self._hasher.digest_of_image(original) if decides else None))

    def _copied_path(self, layers: Layers, size: int, sha256: str | None) -> bytes | None:
        """Return the path in the image of an executable with this content, or None."""
        if sha256 is None:
            return None
        index = self._indexes.get(layers.lowers)
        if index is None:
            index = ImageIndex(layers)
            self._indexes.put(layers.lowers, index)
        return index.find_copy(size, sha256, self._hasher)


class ImageIndex:
    """The executables of one image by size; built on first use, bounded."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._by_size: dict[int, list[tuple[bytes, bytes]]] | None = None

    def find_copy(self, size: int, sha256: str, hasher: Hasher) -> bytes | None:
        """Return the path in the image of an executable with this size and content, or None."""
        if self._by_size is None:
            self._by_size = _executables_by_size(self._layers)
        # Only those of the same size are hashed, and the hasher remembers them.
        for layer, path in self._by_size.get(size, ()):
            if _layer_digest(layer, path, hasher) == sha256:
                return path
        return None


def _executables_by_size(layers: Layers) -> dict[int, list[tuple[bytes, bytes]]]:
    by_size: dict[int, list[tuple[bytes, bytes]]] = {}
    for layer in _lowers(layers):
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
    with contextlib.suppress(OSError), contextlib.closing(open_file(layer, path, symlinks=False)) as file:
        return hasher.digest_of_image(file)
    return None
