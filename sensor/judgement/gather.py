"""Gather the facts that `decide` decides on: open, hash and look up, and no more of it than the decision needs."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Literal

from sensor.container.bundle import RUNTIME_INITS, mount_points
from sensor.container.mounts import read_mounts
from sensor.container.recent import Recent
from sensor.files.hashing import RACY_NS
from sensor.judgement.arguments import Unresolvable, named_paths
from sensor.judgement.decide import Content, ExecFacts, FileFacts, ImageFacts, NamedFile, Origin, Original, drift_kind
from sensor.judgement.exec_files import FUSE_MAGIC, locate, open_changed, open_left_behind, unchanged
from sensor.judgement.image_layers import ImageIndex, in_upper, open_in_image
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sensor.container.identify import Resolved
    from sensor.container.overlay import Layers
    from sensor.files.handles import OpenFile
    from sensor.files.hashing import Hasher
    from sensor.judgement.exec_files import LocatedFile
    from sensor.record import Record, Script

MAX_INDEXES: Final = 64
"""Images whose index of executables is kept."""
MAX_REMEMBERED: Final = 16_384
MAX_LOADED: Final = 1_024
MAX_LAG_NS: Final = 1_000_000_000
"""An exec read later than this is not given the benefit of the doubt."""
_IMAGE_FILE: Final = FileFacts(b"", Origin.IMAGE)
_Key = tuple[int, int, int, int, int, int, bytes, bytes]


class FactGatherer:
    """Gathers the facts on one exec after another. Not thread-safe; keeps hashes and image indexes between execs."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._indexes: Recent[tuple[bytes, ...], ImageIndex] = Recent(MAX_INDEXES)
        self._loaded: Recent[tuple[int, int | None], bytes] = Recent(MAX_LOADED)
        self._remembered: Recent[_Key, FileFacts] = Recent(MAX_REMEMBERED)

    def knows(self, record: Record) -> bool:
        """Whether the file is remembered and unchanged: then nothing need be opened."""
        return self._remembered.get(_key(record)) is not None

    def gather(
        self, record: Record, resolved: Resolved, running: OpenFile | None, script: LocatedFile | None = None
    ) -> ExecFacts:
        """The facts on one exec; raises Unresolvable where a file that it names is gone, and OSError.

        `running` is the executable, opened while the process lived, or None; `script` the `#!` script where it need
        not be found by its name. The caller closes both.
        """
        executable = self._executable(record, resolved, running)
        if record.flags & Flag.LIBRARY:
            is_loaders = self._loaded.get((record.pid, record.start_ns)) == record.path
            return ExecFacts(executable, record.loaded_by, is_library=True, is_loaders_program=is_loaders)
        via = _shown(record.path)
        if drift_kind(executable) is not None:
            # What drift runs needs no look: the exec is reported for the executable.
            return ExecFacts(executable, via)
        return ExecFacts(executable, via, tuple(self._named(record, resolved, script)))

    def _executable(self, record: Record, resolved: Resolved, running: OpenFile | None) -> FileFacts:
        """The facts on the file that the kernel opened: the executable, a mapped library, or a `#!` script."""
        if record.dev == resolved.root_dev and not record.flags & Flag.UPPER:
            return _IMAGE_FILE
        known = self._remembered.get(_key(record))
        if known is not None:
            return known
        left = open_left_behind(record, resolved) if running is None else None
        file = running or left
        with contextlib.closing(left) if left is not None else contextlib.nullcontext():
            # Asked before the hash: a file that is written to while it is hashed is not remembered.
            is_lasting = file is not None and unchanged(file, record) and time.time_ns() - file.ctime_ns > RACY_NS
            content = self._content(file, record, resolved)
        facts = self._executable_facts(record, resolved, content)
        # A file past its container's budget is hashed when it runs again later.
        if is_lasting and content.sha256 is not None:
            self._remembered.put(_key(record), _IMAGE_FILE if drift_kind(facts) is None else facts)
        return facts

    def _content(self, file: OpenFile | None, record: Record, resolved: Resolved) -> Content:
        if file is None:
            return Content(record.size, None, "unreadable" if record.magic == FUSE_MAGIC else "gone")
        return self._hashed(file, resolved)

    def _hashed(self, file: OpenFile, resolved: Resolved) -> Content:
        return Content(file.size, *self._hasher.digest(file, resolved.container.id))

    def _executable_facts(self, record: Record, resolved: Resolved, content: Content) -> FileFacts:
        path = _shown(record.path)
        if record.flags & Flag.MEMFD:
            return FileFacts(path, Origin.MEMFD, content)
        if record.dev != resolved.root_dev:
            mounted_by = _mounted_by(record, resolved)
            # The init is mounted as a file: where a directory is mounted there, it may hold drift.
            is_init = mounted_by == "runtime" and record.mount_point in RUNTIME_INITS
            is_init = is_init and record.path == record.mount_point
            return FileFacts(path, Origin.OTHER_MOUNT, content, mounted_by=mounted_by, is_runtime_init=is_init)
        changed = self._changed_content(record, resolved) if content.status == "gone" else None
        return FileFacts(
            path,
            Origin.UPPER_LAYER,
            content,
            is_bound=record.path != record.inner_path,
            has_lower=bool(record.flags & Flag.LOWER),
            image=self._image_facts(resolved.layers, record.inner_path, content, changed),
            changed=changed,
        )

    def _changed_content(self, record: Record, resolved: Resolved) -> Content | None:
        """What an executable holds by now, where it was changed since it ran, and only moments ago."""
        lag = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - record.time_ns
        file = open_changed(record, resolved) if resolved.layers is not None and lag < MAX_LAG_NS else None
        if file is None:
            return None
        with contextlib.closing(file):
            return self._hashed(file, resolved)

    def _image_facts(
        self, layers: Layers | None, path: bytes, content: Content, changed: Content | None = None
    ) -> ImageFacts | None:
        """What the image has of a file of the container's own layer; None where its layers can't be read."""
        try:
            original = open_in_image(layers, path) if layers is not None else None
        except OSError:
            layers = original = None  # of a disk that fails
        if layers is None:
            return None
        if original is None:
            return ImageFacts(copy_of=self._copied_path(layers, content.size, content.sha256))
        compared = changed or content
        with contextlib.closing(original):
            decides = original.size == compared.size and compared.sha256 is not None
            # An image's own file costs no container's budget.
            return ImageFacts(Original(original.size, self._hasher.digest(original)[0] if decides else None))

    def _copied_path(self, layers: Layers, size: int, sha256: str | None) -> bytes | None:
        """The path in the image of an executable with this content, or None."""
        if sha256 is None:
            return None
        index = self._indexes.get(layers.lowers)
        if index is None:
            index = ImageIndex(layers)
            self._indexes.put(layers.lowers, index)
        return index.find_copy(size, sha256, self._hasher)

    def _named(self, record: Record, resolved: Resolved, script: LocatedFile | None) -> Iterator[NamedFile]:
        """The files that an image's program is given to run, until one is drift."""
        if script is not None:
            yield NamedFile("script", self._located_facts(script, resolved))
            return
        if record.flags & Flag.SCRIPT and record.script is not None:
            yield from self._script(record, record.script, resolved)
            return
        for kind, paths in named_paths(record):
            try:
                file = self._first_found(record, resolved, paths)
            except Unresolvable:
                # A library that is gone does not keep the program from running; all else must be looked at.
                if kind != "library":
                    raise
                continue
            is_drift = drift_kind(file) is not None
            if is_drift and kind == "loader":
                self._loaded.put((record.pid, record.start_ns), file.path)
            yield NamedFile(kind, file)
            if is_drift:
                return

    def _script(self, record: Record, script: Script, resolved: Resolved) -> Iterator[NamedFile]:
        """A script by the file that the kernel opened as it; and by its name, where that means another file by now."""
        seen = record.script_as_executable(script)
        located = locate(record, resolved, record.filename)
        with contextlib.closing(located) if located is not None else contextlib.nullcontext():
            file = located.file if located is not None else None
            is_same = file is not None and unchanged(file, seen)
            facts = self._executable(seen, resolved, file if is_same else None)
            yield NamedFile("script", facts)
            # The interpreter opens it once more by its name: a symlink may have been turned before that, or after.
            if located is not None and not is_same and drift_kind(facts) is None:
                yield NamedFile("script", self._located_facts(located, resolved))

    def _first_found(self, record: Record, resolved: Resolved, paths: Sequence[bytes]) -> FileFacts:
        """The facts on the first of these that there is; raises Unresolvable where there is none."""
        for path in paths:
            located = locate(record, resolved, path)
            if located is not None:
                with contextlib.closing(located), contextlib.suppress(Unresolvable):
                    return self._located_facts(located, resolved)
        raise Unresolvable

    def _located_facts(self, located: LocatedFile, resolved: Resolved) -> FileFacts:
        """The facts on a file that was found by its name; raises Unresolvable where its layers are unknown."""
        path, file = located.path, located.file
        if file is None:
            return FileFacts(path, Origin.OTHER_MOUNT, Content(0, None, "unreadable"))
        if located.dev != resolved.root_dev:
            return FileFacts(path, Origin.OTHER_MOUNT, self._hashed(file, resolved))
        if resolved.layers is None:
            raise Unresolvable
        inner = located.inner_path
        # By its size too: a path can be made to look like another file's.
        if not in_upper(resolved.layers, inner) and _image_size(resolved.layers, inner) == file.size:
            return _IMAGE_FILE
        content = self._hashed(file, resolved)
        image = self._image_facts(resolved.layers, inner, content)
        return FileFacts(path, Origin.UPPER_LAYER, content, image=image)


def _key(record: Record) -> _Key:
    """All that the facts on an executable depend on."""
    which = record.flags & (Flag.UPPER | Flag.LOWER | Flag.MEMFD)
    file = record.dev, record.ino, record.ctime_ns, record.size
    return record.namespace_id, which, *file, record.path, record.inner_path


def _shown(path: bytes) -> bytes:
    return b"/" + path.lstrip(b"/")


def _image_size(layers: Layers, path: bytes) -> int | None:
    original = open_in_image(layers, path)
    if original is None:
        return None
    original.close()
    return original.size


def _mounted_by(record: Record, resolved: Resolved) -> Literal["runtime", "container", "unknown"]:
    """Who mounted the filesystem that a file is on: the container's runtime, or somebody inside the container."""
    made = mount_points(resolved)
    if made is None:
        return "unknown"
    if record.mount_point not in made:
        return "container"
    # A mount over the runtime's is not the runtime's: that one lies at the bottom.
    mounts = read_mounts(record.pid) or read_mounts(resolved.pid)
    lowest = next((mount for mount in mounts if mount.point == record.mount_point), None)
    return "runtime" if lowest is None or lowest.dev == record.dev else "container"
