"""Whether to kill a held exec: by the content and path of its file, while the exec waits."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from sensor import wire
from sensor.blocking.block_plan import NEW, ClusterLocation
from sensor.blocking.held_provenance import ProvenanceCases, ProvenanceFacts, provenance_cases, without_writers
from sensor.capture.block_tables import ExecMark, ExecMarks
from sensor.container.overlay import Layers
from sensor.container.recent import Recent
from sensor.files.deadline import Worker
from sensor.files.handles import OpenFile
from sensor.files.hashing import Hasher
from sensor.judgement.image_layers import ImageDirectories, ImageIndex, open_in_image
from sensor.names.escaping import safe_text
from sensor.policy.properties import PROCESS_PROPERTIES, PROVENANCE_PROPERTIES, WRITER_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.capture.write_records import WriterRecords
    from sensor.file_state import FileState
    from sensor.policy import Policy
    from sensor.policy.block_prediction import BlockPrediction
    from sensor.wire import Container, Session

MAX_HASHED_BYTES: Final = 64 * 1024 * 1024
"""A larger file cannot be hashed in the time that an exec may be held."""
MAX_HASHES: Final = 4_096
"""Remembered per container."""
MAX_INDEXES: Final = 64
KNOWN_WHEN_HELD: Final = (
    *("process_name", "process_path", "process_sha256", "parent_process", "drift_kind", "file_image"),
    *PROVENANCE_PROPERTIES,
)
UNKNOWN_WHEN_HELD: Final = frozenset(PROCESS_PROPERTIES) - set(KNOWN_WHEN_HELD)
"""Process properties that a held exec does not show: they can only be read once it runs."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class HeldContainer:
    """A container whose execs are held; `kinds` are the bits that the kernel blocks there alone, by session.

    `denies_new`: its workload is past the kill limit. `role`: the session of its own processes, where that is not the
    workload.
    """

    layers: Layers
    container: Container
    kinds: tuple[int, int, int]
    denies_new: bool = False
    role: Session | None = None


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
    """What a check found: the marks for the exec, and the data for which they hold, where that counts."""

    marks: ExecMarks
    data: FileState | None = None


RUNS: Final = Finding(ExecMarks.always(None))


class ExecChecker:
    """Checks the execs of one container; remembers hashes by what `records` say of the data. Not thread-safe."""

    def __init__(self, indexes: ImageIndexes, records: WriterRecords | None = None) -> None:
        self._hasher = Hasher(MAX_HASHED_BYTES, MAX_HASHES, worker=InlineWorker(), records=records)
        self._indexes, self._records = indexes, records
        self._directories = ImageDirectories()

    def is_image_file(self, held: HeldContainer, opened: OpenedFile) -> bool:
        """Return whether the file is the image's, unchanged: it has the change time and size of the layer's file."""
        original = open_in_image(held.layers, opened.inner, self._directories)
        if original is None:
            return False
        original.close()
        return (original.ctime_ns, original.size) == (opened.file.ctime_ns, opened.file.size)

    def check(self, policy: HoldPolicy, held: HeldContainer, opened: OpenedFile) -> Finding:
        """Return what to do with the exec. Raises OSError where a file cannot be read."""
        is_script = opened.is_script
        original = open_in_image(held.layers, opened.inner, self._directories)
        with contextlib.closing(original) if original is not None else contextlib.nullcontext():
            if not is_script and original is None and all(kinds & NEW for kinds in held.kinds):
                # The kernel left it to this check only because the name filter may hold its name.
                return Finding(ExecMarks.always(ExecMark.KILL))
            exec_ = _CheckedExec(policy, held, opened, _kinds(opened, is_in_image=original is not None))
            may_be_same = original is not None and original.size == opened.file.size
            cases = provenance_cases(policy.policy, held.role, self._records, opened.file.fd)
            if not may_be_same and cases.marks(exec_.unseen_mark).all == {ExecMark.KILL}:
                return Finding(ExecMarks.always(ExecMark.KILL))
            digest, status, data = self._hasher.digest_and_state(opened.file)
            if digest is None:

                def unread_mark(facts: ProvenanceFacts) -> ExecMark:
                    if not may_be_same and exec_.is_blocked_unseen(facts):
                        return ExecMark.KILL
                    # Too large or unreadable: an allow list may name its hash. What can change all the time has none.
                    is_unknowable = status == "gone" and exec_.is_blocked_unchecked(facts)
                    return ExecMark.KILL if is_unknowable else ExecMark.LATE

                return _finding(cases.marks(unread_mark), cases)
            # An unreadable original, such as on a failing disk, may have the same content: blocking fails open.
            is_same = may_be_same and original is not None and self._hasher.digest_of_image(original) in {None, digest}

        def mark(facts: ProvenanceFacts) -> ExecMark | None:
            blocked = "never" if is_same else self._prediction(exec_, digest, facts)
            if blocked != "never":
                # Where a property decides that a held exec does not show yet, blocking fails open.
                return ExecMark.KILL if blocked == "always" else ExecMark.LATE
            # It may run with these data alone, where others would be stopped.
            is_checked = data is not None and exec_.is_blocked_unchecked(without_writers(facts))
            return ExecMark.CHECKED if is_checked else None

        return _finding(cases.marks(mark), cases, data)

    def unchecked_marks(self, policy: HoldPolicy, held: HeldContainer, opened: OpenedFile) -> ExecMarks:
        """Return KILL for a new file that there is no time to check: where all decides so but its content and writers.

        LATE for any other, and for a file by a path that the image has. Any thread may call it. Raises OSError where a
        file cannot be read.
        """
        original = open_in_image(held.layers, opened.inner)
        if original is not None:
            original.close()
            return ExecMarks.always(ExecMark.LATE)
        exec_ = _CheckedExec(policy, held, opened, _kinds(opened, is_in_image=False))
        return provenance_cases(policy.policy, held.role).marks(exec_.unchecked_mark)

    def _prediction(self, exec_: _CheckedExec, digest: str, facts: ProvenanceFacts) -> BlockPrediction:
        predictions = {exec_.prediction(digest, kind, facts) for kind in exec_.kinds}
        if len(predictions) > 1:
            predictions = {exec_.prediction(digest, self._new_or_copy(exec_, digest), facts)}
        return predictions.pop()

    def _new_or_copy(self, exec_: _CheckedExec, digest: str) -> str:
        """Return the kind. Only where the policy decides the two differently: indexing an image takes a while."""
        index = self._indexes.get(exec_.held.layers)
        is_copy = index.find_copy(exec_.opened.file.size, digest, self._hasher) is not None
        return "copy_of_image_file" if is_copy else "new_file"


@dataclasses.dataclass(frozen=True)
class _CheckedExec:
    """What a policy decides of an exec, by what a held exec shows; `kinds` of drift that it may be, if it is drift."""

    policy: HoldPolicy
    held: HeldContainer
    opened: OpenedFile
    kinds: Sequence[str]

    def unseen_mark(self, facts: ProvenanceFacts) -> ExecMark | None:
        return ExecMark.KILL if self.is_blocked_unseen(facts) else None

    def unchecked_mark(self, facts: ProvenanceFacts) -> ExecMark:
        is_denied = self.is_blocked_unchecked(facts, UNKNOWN_WHEN_HELD | frozenset(WRITER_PROPERTIES))
        return ExecMark.KILL if is_denied else ExecMark.LATE

    def is_blocked_unseen(self, facts: ProvenanceFacts) -> bool:
        """Return whether these kinds are blocked whatever the content: then a file too large to hash is killed too."""
        policy = self.policy
        workload = wire.flatten_container(self.held.container, *policy.location)
        prospects = (
            kind in policy.detect and policy.policy.predict_block(workload, kind, facts) for kind in self.kinds
        )
        return all(prospect == "always" for prospect in prospects)

    def is_blocked_unchecked(self, facts: ProvenanceFacts, unknown: frozenset[str] | None = None) -> bool:
        """Return whether it is blocked by all that counts but its content, and what else is `unknown`."""
        return all(self.prediction(None, kind, facts, unknown) == "always" for kind in self.kinds)

    def prediction(
        self, digest: str | None, kind: str, facts: ProvenanceFacts, unknown: frozenset[str] | None = None
    ) -> BlockPrediction:
        """Return whether drift of this kind is blocked."""
        policy, opened = self.policy, self.opened
        if kind not in policy.detect:
            return "never"
        # Its file is on the container's own root.
        process: dict[str, str | None] = {
            "process_name": safe_text(opened.path.rpartition(b"/")[2]),
            "process_path": safe_text(opened.path),
            "process_sha256": digest,
            "parent_process": safe_text(opened.parent) or None,
            "drift_kind": kind,
            "file_image": None,
        }
        event = wire.flatten_container(self.held.container, *policy.location) | process | facts
        return policy.policy.predict_block_of_process(event, UNKNOWN_WHEN_HELD if unknown is None else unknown)


def may_block_replaced(policy: HoldPolicy, held: HeldContainer) -> bool:
    """Return whether the policy may block a file of the image that was changed."""
    workload = wire.flatten_container(held.container, *policy.location)
    kinds = policy.detect & {"replaced", "foreign_mount"}
    return any(policy.policy.predict_block(workload, kind) != "never" for kind in kinds)


def _finding(marks: ExecMarks, cases: ProvenanceCases, data: FileState | None = None) -> Finding:
    """Return the marks with the state of the file when its writers were looked up, else with the data that were read.

    The former is older: if the file changed in between, the kernel program finds it changed.
    """
    if marks.depends_on_writers:
        return Finding(marks, cases.state)
    return Finding(marks, (cases.state or data) if ExecMark.CHECKED in marks.all else None)


def _kinds(opened: OpenedFile, *, is_in_image: bool) -> list[str]:
    """Return the kinds of drift that the exec may be, if it is drift."""
    if opened.is_script:
        return ["script"]
    if opened.path != opened.inner:
        return ["foreign_mount"]
    return ["replaced"] if is_in_image else ["new_file", "copy_of_image_file"]
