"""Is it from the image? The test of SENSOR.md, from the kernel's facts and the image's layers."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Final, Literal

from sensor.container.bundle import RUNTIME_INITS, mount_points
from sensor.container.mounts import read_mounts
from sensor.container.recent import Recent
from sensor.files.hashing import RACY_NS
from sensor.judgement.image_layers import ImageIndex, in_upper, open_in_image
from sensor.judgement.interpreters import files_of
from sensor.judgement.loader import loading, places
from sensor.judgement.opening import (
    FUSE_MAGIC,
    Located,
    library_path,
    locate,
    locate_in_layers,
    open_changed,
    open_left_behind,
    unchanged,
    whole_argv,
)
from sensor.record import Flag, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.container.identify import Resolved
    from sensor.container.overlay import Layers
    from sensor.files.handles import OpenFile
    from sensor.files.hashing import Hasher
    from sensor.wire import HashStatus, Kind

MAX_INDEXES: Final = 64
"""Images whose index of executables is kept."""
MAX_VERDICTS: Final = 16_384
MAX_LOADED: Final = 1_024
MAX_LAG_NS: Final = 1_000_000_000
"""An exec read later than this is not given the benefit of the doubt."""
_Key = tuple[int, int, int, int, int, int, bytes, bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """A drifted file: `path` is where the container sees it, `via` what ran or loaded it."""

    kind: Kind
    path: bytes
    sha256: str | None
    hash_status: HashStatus
    size: int
    copy_of: bytes | None = None
    via: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Content:
    """What could be learned of a file's content; `lasting` if the same ctime will mean the same content."""

    size: int
    sha256: str | None
    status: HashStatus
    lasting: bool = False


class Unresolvable(Exception):
    """A script or loader's argument that could not be looked at any more."""


class Judge:
    """Tells drift from image. Not thread-safe; keeps hashes and image indexes between execs."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._indexes: Recent[tuple[bytes, ...], ImageIndex] = Recent(MAX_INDEXES)
        self._loaded: Recent[tuple[int, int | None], bytes] = Recent(MAX_LOADED)
        self._verdicts: Recent[_Key, Verdict | Literal["image"]] = Recent(MAX_VERDICTS)

    def knows(self, record: Record) -> bool:
        """Whether the file was judged before and is unchanged: then nothing need be opened."""
        return self._verdicts.get(_key(record)) is not None

    def judge(
        self, record: Record, resolved: Resolved, running: OpenFile | None, script: Located | None = None
    ) -> Verdict | None:
        """The verdict on one exec, None for what is from the image; raises Unresolvable.

        `running` is the executable, opened while the process lived, or None; `script` the `#!` script where it
        need not be looked for by its name. The caller closes both.
        """
        verdict = self._file(record, resolved, running)
        if record.flags & Flag.LIBRARY:
            return self._library(record, verdict)
        return verdict if verdict is not None else self._what_it_runs(record, resolved, script)

    def _what_it_runs(self, record: Record, resolved: Resolved, script: Located | None) -> Verdict | None:
        """The verdict on what an image's program is given to run."""
        if script is not None:
            return self._named_verdict(record, resolved, script, "script")
        if record.flags & Flag.SCRIPT:
            return self._script(record, resolved)
        if record.flags & Flag.LOADER:
            return self._loader(record, resolved)
        if record.flags & Flag.INTERPRETER:
            return self._interpreter(record, resolved)
        return None

    def _script(self, record: Record, resolved: Resolved) -> Verdict | None:
        """A script by the file that the kernel opened as it; and by its name, where that means another file by now.

        The interpreter opens it once more by its name: a symlink may have been turned before that, or after.
        """
        if record.script is None:
            return self._named(record, resolved, record.filename, "script")
        seen = record.of_script(record.script)
        located = locate(record, resolved, record.filename) or locate_in_layers(record, resolved, record.filename)
        file = located.file if located is not None else None
        try:
            same = file is not None and unchanged(file, seen)
            verdict = self._file(seen, resolved, file if same else None)
            if verdict is not None:
                return dataclasses.replace(verdict, kind="script", via=_shown(record.path))
            return None if same or located is None else self._named_verdict(record, resolved, located, "script")
        finally:
            if file is not None:
                file.close()

    def _loader(self, record: Record, resolved: Resolved) -> Verdict | None:
        """What a loader runs, else what it is told to load before that."""
        told = loading(whole_argv(record))
        if told.program is None and record.flags & (Flag.ARGV_CUT | Flag.ARGV_UNREADABLE):
            raise Unresolvable
        folders = [*told.folders, *library_path(record)]
        verdict = self._first(record, resolved, places(told.program, folders), "loader") if told.program else None
        if verdict is not None:
            self._loaded.put((record.pid, record.start_ns), verdict.path)
            return verdict
        for library in told.libraries:
            with contextlib.suppress(Unresolvable):
                verdict = self._first(record, resolved, places(library, folders), "library")
            if verdict is not None:
                return verdict
        return None

    def _interpreter(self, record: Record, resolved: Resolved) -> Verdict | None:
        names = files_of(record.path, record.argv)
        return self._first(record, resolved, names, "interpreter") if names else None

    def _first(self, record: Record, resolved: Resolved, names: Sequence[bytes], kind: Kind) -> Verdict | None:
        """The verdict on the first of these names that there is; raises Unresolvable where there is none."""
        for name in names:
            with contextlib.suppress(Unresolvable):
                return self._named(record, resolved, name, kind)
        raise Unresolvable

    def _library(self, record: Record, verdict: Verdict | None) -> Verdict | None:
        """The verdict as a library's; None for the program that a loader maps, which is reported already."""
        if verdict is None or self._loaded.get((record.pid, record.start_ns)) == record.path:
            return None
        return dataclasses.replace(verdict, kind="library", via=record.loaded_by)

    def _file(self, record: Record, resolved: Resolved, running: OpenFile | None) -> Verdict | None:
        if record.dev == resolved.root_dev and not record.flags & Flag.UPPER:
            return None
        known = self._verdicts.get(_key(record))
        if known is not None:
            return None if known == "image" else known
        content = self._content_of(record, resolved, running)
        kind, copy_of = self._kind(record, resolved, content)
        path = _shown(record.path)
        verdict = Verdict(kind, path, content.sha256, content.status, content.size, copy_of) if kind else None
        if content.lasting:
            self._verdicts.put(_key(record), verdict or "image")
        return verdict

    def _kind(self, record: Record, resolved: Resolved, content: _Content) -> tuple[Kind | None, bytes | None]:
        """Kind of a file that is run directly, None for the image's or the runtime's; and what it copies."""
        if record.flags & Flag.MEMFD:
            return "fileless", None
        if record.dev != resolved.root_dev:
            kind = _kind_of_mount(record, resolved)
            return (None if kind == "volume" and _is_runtime_init(record, resolved) else kind), None
        if content.status == "gone" and self._was_touched(record, resolved):
            return None, None
        found, copy_of = self._against_image(resolved.layers, record.inner_path, content, record.flags)
        if found is not None and record.path != record.inner_path:
            return "foreign_mount", copy_of
        return found, copy_of

    def _was_touched(self, record: Record, resolved: Resolved) -> bool:
        """Whether an executable was changed since it ran, and only moments ago, but has the image's content.

        Nobody writes to a file while it runs. To run another content and then put the image's back, a
        process would have to start, end and be covered up before the sensor came round.
        """
        lag = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - record.time_ns
        file = open_changed(record, resolved) if resolved.layers is not None and lag < MAX_LAG_NS else None
        if file is None or resolved.layers is None:
            return False
        with contextlib.closing(file):
            return (
                self._against_image(resolved.layers, record.inner_path, self._hashed(file, resolved), record.flags)[0]
                is None
            )

    def _content_of(self, record: Record, resolved: Resolved, running: OpenFile | None) -> _Content:
        if running is not None:
            return self._of_record(running, record, resolved)
        left = open_left_behind(record, resolved)
        if left is None:
            return _Content(record.size, None, "unreadable" if record.magic == FUSE_MAGIC else "gone")
        with contextlib.closing(left):
            return self._of_record(left, record, resolved)

    def _of_record(self, file: OpenFile, record: Record, resolved: Resolved) -> _Content:
        lasting = unchanged(file, record) and time.time_ns() - file.ctime_ns > RACY_NS
        content = self._hashed(file, resolved)
        # What is past its container's budget now is hashed when it is run again later.
        return dataclasses.replace(content, lasting=lasting and content.sha256 is not None)

    def _hashed(self, file: OpenFile, resolved: Resolved) -> _Content:
        sha256, status = self._hasher.digest(file, resolved.container.id)
        return _Content(file.size, sha256, status)

    def _against_image(
        self, layers: Layers | None, path: bytes, content: _Content, flags: int
    ) -> tuple[Kind | None, bytes | None]:
        """Kind of a file of the container's own layer, None where its content is the image's; and what it copies."""
        try:
            original = open_in_image(layers, path) if layers is not None else None
        except OSError:
            layers = original = None  # of a disk that fails
        if layers is None:
            return "replaced" if flags & Flag.LOWER else "new_file", None
        if original is not None:
            with contextlib.closing(original):
                same_size = original.size == content.size
                same = same_size and content.sha256 is not None and self._hasher.digest(original)[0] == content.sha256
            return (None if same else "replaced"), None
        copy_of = self._index(layers).copy_of(content.size, content.sha256, self._hasher) if content.sha256 else None
        return ("copy_of_image_file" if copy_of else "new_file"), copy_of

    def _index(self, layers: Layers) -> ImageIndex:
        index = self._indexes.get(layers.lowers)
        if index is None:
            index = ImageIndex(layers)
            self._indexes.put(layers.lowers, index)
        return index

    def _named(self, record: Record, resolved: Resolved, name: bytes, kind: Kind) -> Verdict | None:
        """The verdict on a file that the exec names: a `#!` script, or what the loader runs."""
        located = locate(record, resolved, name) or locate_in_layers(record, resolved, name)
        if located is None:
            raise Unresolvable
        try:
            return self._named_verdict(record, resolved, located, kind)
        finally:
            if located.file is not None:
                located.file.close()

    def _named_verdict(self, record: Record, resolved: Resolved, located: Located, kind: Kind) -> Verdict | None:
        found = self._located(located, resolved)
        if found is None:
            return None
        content, copy_of = found
        return Verdict(kind, located.path, content.sha256, content.status, content.size, copy_of, _shown(record.path))

    def _located(self, located: Located, resolved: Resolved) -> tuple[_Content, bytes | None] | None:
        """Content of a drifted file and what it copies; None where it is the image's."""
        if located.file is None:
            return _Content(0, None, "unreadable"), None
        if located.dev != resolved.root_dev:
            return self._hashed(located.file, resolved), None
        if resolved.layers is None:
            raise Unresolvable
        path = located.inner_path
        if not in_upper(resolved.layers, path) and _image_size(resolved.layers, path) == located.file.size:
            return None
        content = self._hashed(located.file, resolved)
        kind, copy_of = self._against_image(resolved.layers, path, content, 0)
        return None if kind is None else (content, copy_of)


def _key(record: Record) -> _Key:
    """All that a verdict on an executable depends on."""
    which = record.flags & (Flag.UPPER | Flag.LOWER | Flag.MEMFD)
    file = record.dev, record.ino, record.ctime_ns, record.size
    return record.namespace_id, which, *file, record.path, record.inner_path


def _shown(path: bytes) -> bytes:
    return b"/" + path.lstrip(b"/")


def _image_size(layers: Layers, path: bytes) -> int | None:
    """Size of what the image has at `path`: a path can be made to look like another file's."""
    original = open_in_image(layers, path)
    if original is None:
        return None
    original.close()
    return original.size


def _is_runtime_init(record: Record, resolved: Resolved) -> bool:
    """Whether it is an init that the runtime mounted, as a file: a folder there may hold drift."""
    made = mount_points(resolved) or ()
    return record.path == record.mount_point and record.mount_point in RUNTIME_INITS and record.mount_point in made


def _kind_of_mount(record: Record, resolved: Resolved) -> Kind:
    """`volume` where the runtime mounted it, `foreign_mount` where somebody inside the container did."""
    made = mount_points(resolved)
    if made is None:
        return "volume"
    if record.mount_point not in made:
        return "foreign_mount"
    # One mounted over the runtime's is not the runtime's: that lies at the bottom.
    mounts = read_mounts(record.pid) or read_mounts(resolved.pid)
    lowest = next((mount for mount in mounts if mount.point == record.mount_point), None)
    return "volume" if lowest is None or lowest.dev == record.dev else "foreign_mount"
