"""Whether to kill a held exec: by the content and path of its file, while the exec waits."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

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

    from sensor.file_state import FileState, WriteRecords
    from sensor.policy import Policy
    from sensor.policy.block_prediction import BlockPrediction
    from sensor.wire import Container

MAX_HASHED_BYTES: Final = 64 * 1024 * 1024
"""A larger file cannot be hashed in the time that an exec may be held."""
MAX_HASHES: Final = 4_096
"""Remembered per container."""
MAX_INDEXES: Final = 64
KNOWN_WHEN_HELD: Final = (
    *("process_name", "process_path", "process_sha256", "parent_process", "drift_kind", "file_image"),
)
UNKNOWN_WHEN_HELD: Final = frozenset(PROCESS_PROPERTIES) - set(KNOWN_WHEN_HELD)
"""Process properties that a held exec does not show: they can only be read once it runs."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class HeldContainer:
    """A container whose execs are held; `kinds` are the bits that the kernel blocks there alone.

    `denies_new`: its workload is past the kill limit.
    """

    layers: Layers
    container: Container
    kinds: int
    denies_new: bool = False


@dataclasses.dataclass(frozen=True)
class OpenedFile:
    """A file about to be executed: `path` in its mount namespace, `inner` on its own filesystem."""

    file: OpenFile
    path: bytes
    inner: bytes
    parent: bytes

    @property
    def is_script(self) -> bool:
        """Whether the kernel will run an interpreter in its place."""
        return os.pread(self.file.fd, 2, 0) == b"#!"


@dataclasses.dataclass(frozen=True)
class HoldPolicy:
    """What held execs are decided by."""

    policy: Policy
    detect: frozenset[str]
    location: ClusterLocation


class ImageIndexes:
    """Indexes of images by content, shared by the containers of an image. Any thread may call it."""

    def __init__(self) -> None:
        self._known: Recent[tuple[bytes, ...], ImageIndex] = Recent(MAX_INDEXES)
        self._lock = threading.Lock()

    def get(self, layers: Layers) -> ImageIndex:
        """Return an image's index, made when it is first needed."""
        with self._lock:
            index = self._known.get(layers.lowers)
            if index is None:
                index = ImageIndex(layers)
                self._known.put(layers.lowers, index)
            return index


class InlineWorker(Worker):
    """Works in the caller's thread: `sensor.blocking.inspectors` replaces a thread that hangs on a file."""

    def run(self, work: Callable[[], T], *_: Any, **__: Any) -> T:
        """Return the result of `work`."""
        return work()


class Finding(NamedTuple):
    """What a check found: the mark for the exec, None where it may run; with CHECKED the data that may."""

    mark: ExecMark | None
    data: FileState | None = None


class ExecChecker:
    """Checks the execs of one container; remembers hashes by what `records` say of the data. Not thread-safe."""

    def __init__(self, indexes: ImageIndexes, records: WriteRecords | None = None) -> None:
        self._hasher = Hasher(MAX_HASHED_BYTES, MAX_HASHES, worker=InlineWorker(), records=records)
        self._indexes = indexes

    def is_image_file(self, held: HeldContainer, opened: OpenedFile) -> bool:
        """Return whether the file is the image's, unchanged: it has the change time and size of the layer's file."""
        original = open_in_image(held.layers, opened.inner)
        if original is None:
            return False
        original.close()
        return (original.ctime_ns, original.size) == (opened.file.ctime_ns, opened.file.size)

    def check(self, policy: HoldPolicy, held: HeldContainer, opened: OpenedFile) -> Finding:
        """Return what to do with the exec. Raises OSError where a file cannot be read."""
        is_script = opened.is_script
        original = open_in_image(held.layers, opened.inner)
        with contextlib.closing(original) if original is not None else contextlib.nullcontext():
            if not is_script and held.kinds & NEW and original is None:
                # The kernel left it to this check only because the name filter may hold its name.
                return Finding(ExecMark.KILL)
            kinds = _kinds(opened, is_in_image=original is not None, is_script=is_script)
            may_be_same = original is not None and original.size == opened.file.size
            if not may_be_same and _is_blocked_unseen(policy, held, kinds):
                return Finding(ExecMark.KILL)
            digest, status, data = self._hasher.digest_and_state(opened.file)
            if digest is None:
                # Too large or unreadable: an allow list may name its hash. One that can change all the time has none.
                is_unknowable = status == "gone" and _is_blocked_unchecked(policy, held, opened, kinds)
                return Finding(ExecMark.KILL if is_unknowable else ExecMark.LATE)
            # An unreadable original, such as on a failing disk, may have the same content: blocking fails open.
            if may_be_same and original is not None and self._hasher.digest_of_image(original) in {None, digest}:
                return _as_checked(policy, held, opened, kinds, data)
        blocked = self._prediction(policy, held, opened, digest, kinds)
        if blocked == "never":
            return _as_checked(policy, held, opened, kinds, data)
        # Where a property decides that a held exec does not show yet, blocking fails open.
        return Finding(ExecMark.KILL if blocked == "always" else ExecMark.LATE)

    def is_denied(self, policy: HoldPolicy, held: HeldContainer, opened: OpenedFile) -> bool:
        """Return whether to stop a new file that there is no time to check: by all that counts but its content.

        Never a file by a path that the image has. Any thread may call it. Raises OSError where a file cannot be read.
        """
        original = open_in_image(held.layers, opened.inner)
        if original is not None:
            original.close()
            return False
        return _is_blocked_unchecked(
            policy, held, opened, _kinds(opened, is_in_image=False, is_script=opened.is_script)
        )

    def _prediction(
        self, policy: HoldPolicy, held: HeldContainer, opened: OpenedFile, digest: str, kinds: Sequence[str]
    ) -> BlockPrediction:
        predictions = {_prediction(policy, held, opened, digest, kind) for kind in kinds}
        if len(predictions) > 1:
            predictions = {_prediction(policy, held, opened, digest, self._new_or_copy(held, opened, digest))}
        return predictions.pop()

    def _new_or_copy(self, held: HeldContainer, opened: OpenedFile, digest: str) -> str:
        """Return the kind. Only where the policy decides the two differently: indexing an image takes a while."""
        is_copy = self._indexes.get(held.layers).find_copy(opened.file.size, digest, self._hasher) is not None
        return "copy_of_image_file" if is_copy else "new_file"


def may_block_replaced(policy: HoldPolicy, held: HeldContainer) -> bool:
    """Return whether the policy may block a file of the image that was changed."""
    workload = wire.flatten_container(held.container, *policy.location)
    kinds = policy.detect & {"replaced", "foreign_mount"}
    return any(policy.policy.predict_block(workload, kind) != "never" for kind in kinds)


def _as_checked(
    policy: HoldPolicy, held: HeldContainer, opened: OpenedFile, kinds: Sequence[str], data: FileState | None
) -> Finding:
    """Return that the exec may run: with these data alone, where others would be stopped."""
    if data is None or not _is_blocked_unchecked(policy, held, opened, kinds):
        return Finding(None)
    return Finding(ExecMark.CHECKED, data)


def _is_blocked_unchecked(policy: HoldPolicy, held: HeldContainer, opened: OpenedFile, kinds: Sequence[str]) -> bool:
    """Return whether a file is blocked by all that counts but its content, which is not known."""
    return all(_prediction(policy, held, opened, None, kind) == "always" for kind in kinds)


def _kinds(opened: OpenedFile, *, is_in_image: bool, is_script: bool) -> list[str]:
    """Return the kinds of drift that the exec may be, if it is drift."""
    if is_script:
        return ["script"]
    if opened.path != opened.inner:
        return ["foreign_mount"]
    return ["replaced"] if is_in_image else ["new_file", "copy_of_image_file"]


def _is_blocked_unseen(policy: HoldPolicy, held: HeldContainer, kinds: Sequence[str]) -> bool:
    """Return whether these kinds are blocked whatever the content: then a file too large to hash is killed too."""
    workload = wire.flatten_container(held.container, *policy.location)
    return all(kind in policy.detect and policy.policy.predict_block(workload, kind) == "always" for kind in kinds)


def _prediction(
    policy: HoldPolicy, held: HeldContainer, opened: OpenedFile, digest: str | None, kind: str
) -> BlockPrediction:
    """Return whether drift of this kind is blocked, by all that a held exec shows."""
    if kind not in policy.detect:
        return "never"
    event = wire.flatten_container(held.container, *policy.location) | _process_facts(opened, digest, kind)
    return policy.policy.predict_block_of_process(event, UNKNOWN_WHEN_HELD)


def _process_facts(opened: OpenedFile, digest: str | None, kind: str) -> dict[str, str | None]:
    """Return the KNOWN_WHEN_HELD of the process that the exec would start; its file is on the container's own root."""
    return {
        "process_name": safe_text(opened.path.rpartition(b"/")[2]),
        "process_path": safe_text(opened.path),
        "process_sha256": digest,
        "parent_process": safe_text(opened.parent) or None,
        "drift_kind": kind,
        "file_image": None,
    }
