"""Is the file that an exec opened to be stopped? By its content and path, while the exec waits."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sensor import wire
from sensor.blocking.block_plan import NEW, ClusterLocation
from sensor.capture.block_tables import ExecMark
from sensor.container.overlay import Layers
from sensor.container.recent import Recent
from sensor.files.deadline import Worker
from sensor.files.handles import OpenFile
from sensor.files.hashing import Hasher
from sensor.judgement.image_layers import ImageIndex, open_in_image
from sensor.names.escaping import safe_text
from sensor.policy.properties import PROCESS_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.policy import Policy
    from sensor.wire import Container

MAX_HASHED_BYTES: Final = 64 * 1024 * 1024
"""A larger file can't be hashed in the time that an exec may be held."""
MAX_HASHES: Final = 4_096
"""Contents of one container's files that are remembered."""
MAX_INDEXES: Final = 64
KNOWN_WHEN_HELD: Final = ("process_name", "process_path", "process_sha256", "parent_process", "drift_kind")
UNKNOWN_WHEN_HELD: Final = frozenset(PROCESS_PROPERTIES) - set(KNOWN_WHEN_HELD)
"""Process properties that a held exec does not show: they are read only after it ran."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class HeldContainer:
    """A container whose execs are held."""

    layers: Layers
    container: Container
    kinds: int


@dataclasses.dataclass(frozen=True)
class OpenedFile:
    """A file that is about to be executed: `path` as its mount namespace shows it, `inner` on its own filesystem."""

    file: OpenFile
    path: bytes
    inner: bytes
    parent: bytes

    @property
    def is_script(self) -> bool:
        return os.pread(self.file.fd, 2, 0) == b"#!"


@dataclasses.dataclass(frozen=True)
class PolicyAtLocation:
    """What is decided by."""

    policy: Policy
    detect: frozenset[str]
    place: ClusterLocation


class ImageIndexes:
    """Of the images, by content: shared by all containers of one. From any thread."""

    def __init__(self) -> None:
        self._known: Recent[tuple[bytes, ...], ImageIndex] = Recent(MAX_INDEXES)
        self._lock = threading.Lock()

    def of(self, layers: Layers) -> ImageIndex:
        with self._lock:
            index = self._known.get(layers.lowers)
            if index is None:
                index = ImageIndex(layers)
                self._known.put(layers.lowers, index)
            return index


class InlineWorker(Worker):
    """No thread of its own: one that looks at held execs is itself left behind where a file hangs."""

    def run(self, work: Callable[[], T], *_: Any, **__: Any) -> T:
        return work()


class ExecChecker:
    """For one container. Not thread-safe; remembers contents by device, inode, change time and size."""

    def __init__(self, indexes: ImageIndexes) -> None:
        self._hasher = Hasher(MAX_HASHED_BYTES, MAX_HASHES, worker=InlineWorker())
        self._indexes = indexes

    def is_image_s_own(self, held: HeldContainer, opened: OpenedFile) -> bool:
        """Whether it is a file of the image that nobody changed: it has the very change time that the layer's has."""
        original = open_in_image(held.layers, opened.inner)
        if original is None:
            return False
        original.close()
        return (original.ctime_ns, original.size) == (opened.file.ctime_ns, opened.file.size)

    def verdict(self, law: PolicyAtLocation, held: HeldContainer, opened: OpenedFile) -> ExecMark | None:
        """What is to become of the exec, None where it may run; raises OSError where a file can't be read."""
        is_script = opened.is_script
        original = open_in_image(held.layers, opened.inner)
        with contextlib.closing(original) if original is not None else contextlib.nullcontext():
            if not is_script and held.kinds & NEW and original is None:
                return ExecMark.KILL
            kinds = _kinds(opened, is_in_image=original is not None, is_script=is_script)
            may_be_same = original is not None and original.size == opened.file.size
            if not may_be_same and _is_blocked_unseen(law, held, kinds):
                return ExecMark.KILL
            digest, _ = self._hasher.digest(opened.file)
            if digest is None:
                return ExecMark.LATE  # too large, or not to be read: an allow list may have its hash
            # An original that can't be read, such as from a failing disk, may be the same.
            if may_be_same and original is not None and self._hasher.digest(original)[0] in {None, digest}:
                return None
        if not self._is_blocked(law, held, opened, digest, kinds):
            return None
        # A rule above may decide by a property that a held exec does not show yet: blocking fails open.
        return ExecMark.LATE if law.policy.has_conditions(UNKNOWN_WHEN_HELD) else ExecMark.KILL

    def _is_blocked(
        self, law: PolicyAtLocation, held: HeldContainer, opened: OpenedFile, digest: str, kinds: Sequence[str]
    ) -> bool:
        blocked = {_blocks(law, held, opened, digest, kind) for kind in kinds}
        if len(blocked) > 1:
            blocked = {_blocks(law, held, opened, digest, self._new_or_copy(held, opened, digest))}
        return True in blocked

    def _new_or_copy(self, held: HeldContainer, opened: OpenedFile, digest: str) -> str:
        """Which of the two it is: asked only where the policy tells them apart, for the first time it takes a while."""
        is_copy = self._indexes.of(held.layers).find_copy(opened.file.size, digest, self._hasher) is not None
        return "copy_of_image_file" if is_copy else "new_file"


def _kinds(opened: OpenedFile, *, is_in_image: bool, is_script: bool) -> list[str]:
    """The kind of drift that it is, should it be some, or both that it may be."""
    if is_script:
        return ["script"]
    if opened.path != opened.inner:
        return ["foreign_mount"]
    return ["replaced"] if is_in_image else ["new_file", "copy_of_image_file"]


def _is_blocked_unseen(law: PolicyAtLocation, held: HeldContainer, kinds: Sequence[str]) -> bool:
    """Whether drift of these kinds is blocked there whatever its content: then a huge file is no way out."""
    workload = wire.flatten_container(held.container, *law.place)
    return all(kind in law.detect and law.policy.prospect(workload, kind) == "always" for kind in kinds)


def _blocks(law: PolicyAtLocation, held: HeldContainer, opened: OpenedFile, digest: str, kind: str) -> bool:
    if kind not in law.detect:
        return False
    event = wire.flatten_container(held.container, *law.place) | _process_facts(opened, digest, kind)
    decision = law.policy.decide(event)
    return decision.action == "block" and law.policy.names_kind(decision.rule, kind)


def _process_facts(opened: OpenedFile, digest: str, kind: str) -> dict[str, str | None]:
    """Return the KNOWN_WHEN_HELD of the process that the exec would start."""
    return {
        "process_name": safe_text(opened.path.rpartition(b"/")[2]),
        "process_path": safe_text(opened.path),
        "process_sha256": digest,
        "parent_process": safe_text(opened.parent) or None,
        "drift_kind": kind,
    }
