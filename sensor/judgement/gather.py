"""Gather the facts that `decide` decides on: open, hash and look up, and no more of it than the decision needs."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Final

import msgspec

from sensor.container.base import payer_id
from sensor.container.bundle import mount_maker, mount_source, volume_image
from sensor.container.node_init import is_node_init
from sensor.container.recent import Recent
from sensor.file_state import FileThatRan
from sensor.files.handles import file_status
from sensor.files.hashing import RACY_NS
from sensor.judgement.arguments import (
    MAX_INTERPRETER_BYTES,
    RootUnknown,
    Unresolvable,
    named_paths,
    script_name,
    whole_argv,
)
from sensor.judgement.code_memory import is_code_memory
from sensor.judgement.decide import (
    Content,
    ExecFacts,
    FileFacts,
    MountedImage,
    NamedFile,
    Origin,
    drift_kind,
    is_changed_or_new,
)
from sensor.judgement.exec_files import FUSE_MAGIC, OVERLAY_MAGIC, locate, open_left_behind, unchanged
from sensor.judgement.image_layers import ImageReader, in_upper, is_untouched, open_in_upper
from sensor.judgement.interpreters import is_code
from sensor.judgement.loader_arguments import interpreter_called
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from sensor.container.identify import Resolved
    from sensor.container.root_filesystem import RootFilesystem
    from sensor.files.handles import OpenFile
    from sensor.files.hashing import Hasher
    from sensor.judgement.exec_files import LocatedFile
    from sensor.policy.drift_kinds import DriftKind
    from sensor.record import Record

MAX_REMEMBERED: Final = 16_384
MAX_LOADED: Final = 1_024
MAX_LONG_ARGV: Final = 8
_NAMES_FILES: Final = Flag.SCRIPT | Flag.LOADER | Flag.INTERPRETER
_MORE_THAN_EXECUTABLE: Final = _NAMES_FILES | Flag.LIBRARY
_KEY_FLAGS: Final = Flag.UPPER | Flag.LOWER | Flag.MEMFD
_IMAGE_FILE: Final = FileFacts(b"", Origin.IMAGE)
_IMAGE_EXEC: Final = ExecFacts(_IMAGE_FILE)
_Key = tuple[int, int, int, tuple[int, ...], int, bytes, bytes]


class FactGatherer:
    """Gathers the facts on one exec after another. Not thread-safe; keeps hashes and image indexes between execs."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._images = ImageReader(hasher)
        self._loaded: Recent[tuple[int, int | None], bytes] = Recent(MAX_LOADED)
        self._interpreted: Recent[tuple[int, int | None, bytes], bool] = Recent(MAX_LOADED)
        self._long_argv: Recent[tuple[int, int | None, tuple[bytes, ...]], tuple[bytes, ...]] = Recent(MAX_LONG_ARGV)
        self._remembered: Recent[_Key, FileFacts] = Recent(MAX_REMEMBERED)

    def knows(self, record: Record) -> bool:
        """Return whether the file is remembered and unchanged: then nothing need be opened."""
        return self._known(record) is not None

    def read_ahead(self, execs: Sequence[tuple[Record, OpenFile]]) -> None:
        """Read the executables of the execs that are gathered next, as far as that is cheaper for all at once."""
        by_payer: dict[str, list[tuple[OpenFile, FileThatRan]]] = {}
        for record, running in execs:
            if record.magic != FUSE_MAGIC:
                by_payer.setdefault(payer_id(record.cgroup), []).append((running, _as_it_ran(record)))
        self._hasher.read_ahead(by_payer)

    def gather(
        self, record: Record, resolved: Resolved, running: OpenFile | None, opened: Sequence[OpenFile | None] = ()
    ) -> ExecFacts:
        """Return the facts on one exec; raises Unresolvable where a file that it names is gone, and OSError.

        `running` is the executable, opened while the process lived, or None; `opened` the same of each of
        `record.opened`. The caller closes them.
        """
        if record.flags & Flag.READ and not self._is_new_code(record):
            return _IMAGE_EXEC
        executable = self._executable(record, resolved, running)
        if record.flags & Flag.READ:
            return ExecFacts(executable, record.loaded_by, is_read=True)
        if not record.flags & _MORE_THAN_EXECUTABLE and not record.opened:
            # Most execs; nothing else is made for them.
            return _IMAGE_EXEC if executable is _IMAGE_FILE else ExecFacts(executable)
        if record.flags & Flag.LIBRARY:
            return ExecFacts(
                executable,
                record.loaded_by,
                is_library=True,
                is_loaders_program=self._loaded.get((record.pid, record.start_ns)) == record.path,
                is_code_memory=drift_kind(executable) is not None and is_code_memory(record, running),
            )
        if is_changed_or_new(executable):
            # What drift runs is not looked at: the exec is reported for the executable.
            return ExecFacts(executable)
        named = []
        with contextlib.closing(self._named(record, resolved, opened)) as found:
            for each in found:
                named.append(each)
                if is_changed_or_new(each.file):
                    # The first that is drift decides: no more is opened.
                    if each.kind == "loader":
                        self._loaded.put((record.pid, record.start_ns), each.file.path)
                    if each.kind == "interpreter":
                        self._interpreted.put((record.pid, record.start_ns, each.file.path), value=True)
                    break
        return ExecFacts(executable, _shown(record.path), tuple(named))

    def _is_new_code(self, record: Record) -> bool:
        """Return whether a file that an interpreter reads is code of its, and was not reported of this process yet."""
        if record.path == record.loaded_by:
            return False  # its own program: sent where what it reads can't be followed
        is_input = bool(record.flags & Flag.STANDARD_INPUT)
        program, argv = interpreter_called(record.loaded_by, self._argv(record))
        if not is_code(program, argv, record.path, is_standard_input=is_input):
            return False
        key = record.pid, record.start_ns, _shown(record.path)
        if self._interpreted.get(key):
            return False
        self._interpreted.put(key, value=True)
        return True

    def _argv(self, record: Record) -> tuple[bytes, ...]:
        """Return the arguments of a process that reads a file; those that can be read where they are many."""
        if not record.flags & (Flag.ARGV_CUT | Flag.ARGV_UNREADABLE):
            return record.argv
        key = record.pid, record.start_ns, record.argv
        argv = self._long_argv.get(key) or whole_argv(record, MAX_INTERPRETER_BYTES) or record.argv
        self._long_argv.put(key, argv)
        return argv

    def _executable(self, record: Record, resolved: Resolved, running: OpenFile | None) -> FileFacts:
        """Return the facts on the file that the kernel opened: the executable, a mapped library, or a `#!` script."""
        if resolved.plain_root is None and record.dev == resolved.root_dev and not record.flags & Flag.UPPER:
            return _IMAGE_FILE
        below = resolved.root_path(record.dev, record.inner_path)
        if below is not None and is_unchanged_since_start(resolved.root, below, record.ctime_ns):
            return _IMAGE_FILE
        known = self._known(record)
        if known is not None:
            return known
        left = open_left_behind(record, resolved, below) if running is None else None
        file = running or left
        with contextlib.closing(left) if left is not None else contextlib.nullcontext():
            content = self._content(record, resolved, file)
        facts = self._executable_facts(record, resolved, content, below)
        # A file past its container's budget is hashed when it runs again later; and layers may be readable later.
        is_settled = facts.origin is not Origin.UPPER_LAYER or facts.image is not None or facts.is_by_time
        is_memorable = record.state is not None and record.state.is_memorable
        if is_memorable and is_settled and content.sha256 is not None:
            self._remembered.put(_key(record), facts)
        return facts

    def _known(self, record: Record) -> FileFacts | None:
        state = record.state
        return self._remembered.get(_key(record)) if state is not None and state.is_memorable else None

    def _content(self, record: Record, resolved: Resolved, file: OpenFile | None) -> Content:
        """Return the content that the file had when it ran."""
        ran = _as_it_ran(record)
        if file is not None and record.magic == FUSE_MAGIC:
            return self._content_of_layer(record, resolved, file)
        if file is not None:
            return Content(file.size, *self._hasher.digest(file, resolved.container.id, ran))
        known = self._hasher.known(ran)
        if known is not None:
            return Content(record.size, known, "ok")
        return Content(record.size, None, "unreadable" if record.magic == FUSE_MAGIC else "gone")

    def _content_of_layer(self, record: Record, resolved: Resolved, file: OpenFile) -> Content:
        """Return the content of what ran on a server's filesystem, by the file in the container's own layer.

        The record of writers is that of the server's file: the layer's was not written to since by its change time.
        """
        is_writable = record.state is not None and record.state.is_writable
        if is_writable or file.ctime_ns > _executed_at(record):
            return Content(record.size, None, "gone")
        content = self._hashed(file, resolved)
        return content if file_status(file.fd).ctime_ns == file.ctime_ns else Content(record.size, None, "gone")

    def _hashed(self, file: OpenFile, resolved: Resolved) -> Content:
        return Content(file.size, *self._hasher.digest(file, resolved.container.id))

    def _executable_facts(self, record: Record, resolved: Resolved, content: Content, below: bytes | None) -> FileFacts:
        path = _shown(record.path)
        if record.flags & Flag.MEMFD:
            return FileFacts(path, Origin.MEMFD, content)
        if below is None:
            who = mount_maker(resolved, record.pid, record.mount_point, record.dev)
            # The init is mounted as a file: where a directory is mounted there, it may hold drift.
            is_init = who == "runtime" and record.path == record.mount_point and _is_runtime_init(record, resolved)
            volume = volume_image(resolved, record.mount_point) if who == "runtime" else None
            is_unchanged = _is_unchanged(record)
            if volume is not None:
                below = path.removeprefix(record.mount_point)
                is_unchanged = self._images.is_own_file(volume, below, content, record.ctime_ns)
            # What an image declares as a volume, its runtime fills with the image's own files.
            image = self._images.same_path(resolved.layers, path, content) if who != "container" else None
            return FileFacts(
                path,
                Origin.OTHER_MOUNT,
                content,
                image=image,
                mounted_by=who,
                is_runtime_init=is_init,
                dev=record.dev,
                is_unchanged=is_unchanged,
                volume_image=MountedImage(volume.name, volume.digest) if volume is not None else None,
            )
        return FileFacts(
            path,
            Origin.UPPER_LAYER,
            content,
            is_bound=record.path != below,
            has_lower=bool(record.flags & Flag.LOWER),
            image=self._images.facts(resolved.layers, below, content),
            is_by_time=resolved.root.gap == "no_layers",
        )

    def _named(
        self, record: Record, resolved: Resolved, opened: Sequence[OpenFile | None]
    ) -> Generator[NamedFile, None, None]:
        """Return the files that an image's program is given to run, one after the other; raises Unresolvable."""
        has_script = False
        # The interpreter first: it runs as directly as the program, whatever script that is given.
        pairs = sorted(itertools.zip_longest(record.opened, opened), key=lambda pair: not pair[0].is_interpreter)
        for seen, file in pairs:
            has_script = has_script or not seen.is_interpreter
            kind: DriftKind | None = None if seen.is_interpreter else "script"
            yield NamedFile(kind, self._executable(record.as_executable(seen), resolved, file))
        if has_script:
            yield from self._script_by_name(record, resolved)
            return
        found: set[bytes] = set()
        for kind, paths, may_be_absent, behind, after in named_paths(record):
            if not found.isdisjoint(behind) and found.isdisjoint(after):
                continue
            file = None
            for path in paths:
                located = locate(record, resolved, path)
                if located is not None:
                    with contextlib.closing(located), contextlib.suppress(Unresolvable):
                        file = self._located_facts(located, resolved)
                        found.add(path)
                        break
            if file is not None:
                yield NamedFile(kind, file)
            elif not may_be_absent:
                raise Unresolvable

    def _script_by_name(self, record: Record, resolved: Resolved) -> Iterator[NamedFile]:
        """The script as its interpreter opens it once more: a symlink may have been turned since the kernel did."""
        name = script_name(record)
        located = locate(record, resolved, name) if name else None
        with contextlib.closing(located) if located is not None else contextlib.nullcontext():
            file = located.file if located is not None else None
            if located is None or any(file is not None and unchanged(file, seen) for seen in _scripts(record)):
                return
            yield NamedFile("script", self._located_facts(located, resolved))

    def _located_facts(self, located: LocatedFile, resolved: Resolved) -> FileFacts:
        """Return the facts on a file that was found by its name; raises Unresolvable where its layers are unknown."""
        path, file = located.path, located.file
        below = resolved.root_path(located.dev, located.inner_path)
        if file is None:
            return self._served_facts(path, below, resolved)
        if below is None:
            content = self._hashed(file, resolved)
            image = self._images.same_path(resolved.layers, path, content)
            facts = FileFacts(path, Origin.OTHER_MOUNT, content, image=image, dev=located.dev)
            return self._on_image_volume(facts, located, resolved)
        if is_unchanged_since_start(resolved.root, below, file.ctime_ns):
            return _IMAGE_FILE
        if resolved.root.gap == "no_layers":
            return FileFacts(path, Origin.UPPER_LAYER, self._hashed(file, resolved), is_by_time=True)
        if resolved.layers is None:
            raise Unresolvable
        if is_untouched(resolved.layers, below, file.size):
            return _IMAGE_FILE
        content = self._hashed(file, resolved)
        return FileFacts(path, Origin.UPPER_LAYER, content, image=self._images.facts(resolved.layers, below, content))

    def _on_image_volume(self, facts: FileFacts, located: LocatedFile, resolved: Resolved) -> FileFacts:
        """Return the facts with the image that the runtime mounted there, if it mounted one."""
        point, dev = located.mount_point, located.dev
        if not point or dev is None or mount_maker(resolved, located.witness, point, dev) != "runtime":
            return facts
        volume = volume_image(resolved, point)
        if volume is None:
            return facts
        below, ctime_ns = facts.path.removeprefix(point), located.file.ctime_ns if located.file is not None else 0
        is_own = self._images.is_own_file(volume, below, facts.content, ctime_ns)
        image = MountedImage(volume.name, volume.digest)
        return msgspec.structs.replace(facts, mounted_by="runtime", volume_image=image, is_unchanged=is_own)

    def _served_facts(self, path: bytes, below: bytes | None, resolved: Resolved) -> FileFacts:
        """Return the facts on a file of a server's filesystem: of a root like that, by its layers on the node."""
        if below and resolved.layers is not None:
            if not in_upper(resolved.layers, below):
                return _IMAGE_FILE
            own = open_in_upper(resolved.layers, below)
            if own is not None:
                with contextlib.closing(own):
                    content = self._hashed(own, resolved)
                image = self._images.facts(resolved.layers, below, content)
                return FileFacts(path, Origin.UPPER_LAYER, content, image=image)
        return FileFacts(path, Origin.OTHER_MOUNT, Content(0, None, "unreadable"))


def _scripts(record: Record) -> Iterator[Record]:
    return (record.as_executable(seen) for seen in record.opened if not seen.is_interpreter)


def _is_unchanged(record: Record) -> bool | None:
    """Return whether an overlay has the file in a lower layer alone; None on another filesystem, or where unseen."""
    if record.magic != OVERLAY_MAGIC or record.flags & Flag.UNSTOPPABLE:
        return None
    return not record.flags & Flag.UPPER


def _is_runtime_init(record: Record, resolved: Resolved) -> bool:
    """Return whether a file that the runtime mounted is the node's own init, by its source and content."""
    # Nobody in a container writes to it: where it is mounted writable, somebody may have.
    if record.writer is not None:
        return False
    source = mount_source(resolved, record.mount_point)
    return is_node_init(source, ino=record.ino, size=record.size, ctime_ns=record.ctime_ns)


def is_unchanged_since_start(root: RootFilesystem, below: bytes, ctime_ns: int) -> bool:
    """Return whether a file of a root without overlay is the image's by its change time, or by its layers alone.

    Raises RootUnknown where there is nothing to tell by.
    """
    if root.is_overlay:
        return False
    if root.layers is not None:
        # On a filesystem of a server's, such as fuse-overlayfs, its own layer tells what the container changed.
        return root.filesystem.startswith("fuse") and not in_upper(root.layers, below)
    if root.since_ns is None:
        raise RootUnknown
    return ctime_ns <= root.since_ns


def _key(record: Record) -> _Key:
    """Return all that the facts on an executable depend on."""
    return (
        record.namespace_id,
        record.flags & _KEY_FLAGS,
        record.dev,
        record.state.data if record.state is not None else (),
        record.ctime_ns,
        record.path,
        record.inner_path,
    )


def _as_it_ran(record: Record) -> FileThatRan:
    is_settled = _executed_at(record) - record.ctime_ns > RACY_NS
    return FileThatRan(record.state, record.ctime_ns, record.size, is_settled)


def _executed_at(record: Record) -> int:
    """Return when an exec was, in ns by the clock that change times are from."""
    age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - record.time_ns
    return time.time_ns() - age


def _shown(path: bytes) -> bytes:
    return b"/" + path.lstrip(b"/")
