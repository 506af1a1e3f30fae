"""Is the file that an exec opened to be stopped? By its content and path, while the exec waits."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING, Final

from sensor.blocking.plan import NEW, Place, workload_of
from sensor.blocking.tables import What
from sensor.container.identify import Recent
from sensor.escape import safe_text
from sensor.layers.files import Hasher, OpenFile
from sensor.layers.overlay import ImageIndex, Layers, open_in_image

if TYPE_CHECKING:
    from sensor.policy import Policy
    from sensor.wire import Container

MAX_HASHED_BYTES: Final = 64 * 1024 * 1024
"""A larger file can't be hashed in the time that an exec may be held."""
MAX_INDEXES: Final = 64


@dataclasses.dataclass(frozen=True)
class Held:
    """A container whose execs are held."""

    layers: Layers
    container: Container
    kinds: int


@dataclasses.dataclass(frozen=True)
class Opened:
    """A file that is about to be executed: `path` as its mount namespace shows it, `inner` on its own filesystem."""

    file: OpenFile
    path: bytes
    inner: bytes
    parent: bytes

    @property
    def is_script(self) -> bool:
        return os.pread(self.file.fd, 2, 0) == b"#!"


class Decider:
    """Decides by one policy. Not thread-safe; remembers contents by device, inode, change time and size."""

    def __init__(self) -> None:
        self._hasher = Hasher(MAX_HASHED_BYTES)
        self._indexes: Recent[tuple[bytes, ...], ImageIndex] = Recent(MAX_INDEXES)
        self._policy: Policy | None = None
        self._detect: frozenset[str] = frozenset()
        self._place = Place("", "", "")

    def follow(self, policy: Policy, detect: frozenset[str], place: Place) -> None:
        self._policy, self._detect, self._place = policy, detect, place

    def is_image_s_own(self, held: Held, opened: Opened) -> bool:
        """Whether it is a file of the image that nobody changed: it has the very change time that the layer's has."""
        original = open_in_image(held.layers, opened.inner)
        if original is None:
            return False
        original.close()
        return (original.ctime_ns, original.size) == (opened.file.ctime_ns, opened.file.size)

    def verdict(self, held: Held, opened: Opened) -> What | None:
        """What is to become of the exec, None where it may run; raises OSError where a file can't be read."""
        if self._policy is None:
            return None
        is_script = opened.is_script
        if not is_script and held.kinds & NEW and not self._is_in_image(held, opened):
            return What.KILL
        digest, _ = self._hasher.digest(opened.file)
        if digest is None:
            return What.LATE  # too large, or not read in time: an allow list may have its hash
        kinds = self._kinds(held, opened, digest, is_script=is_script)
        blocked = {self._blocks(held, opened, digest, kind) for kind in kinds}
        if len(blocked) > 1:
            blocked = {self._blocks(held, opened, digest, self._new_or_copy(held, opened, digest))}
        if True not in blocked:
            return None
        return What.KILL_SCRIPT if is_script else What.KILL

    @staticmethod
    def _is_in_image(held: Held, opened: Opened) -> bool:
        original = open_in_image(held.layers, opened.inner)
        if original is not None:
            original.close()
        return original is not None

    def _kinds(self, held: Held, opened: Opened, digest: str, *, is_script: bool) -> list[str]:
        """The kind of drift that it is, or both that it may be; none for what the image has there, or may have."""
        original = open_in_image(held.layers, opened.inner)
        if original is not None:
            with contextlib.closing(original):
                # One that can't be read, such as from a failing disk, may be the same.
                same_size = original.size == opened.file.size
                if same_size and self._hasher.digest(original)[0] in {None, digest}:
                    return []
        if is_script:
            return ["script"]
        if opened.path != opened.inner:
            return ["foreign_mount"]
        return ["replaced"] if original is not None else ["new_file", "copy_of_image_file"]

    def _new_or_copy(self, held: Held, opened: Opened, digest: str) -> str:
        """Which of the two it is: asked only where the policy tells them apart, for the first time it takes a while."""
        index = self._indexes.get(held.layers.lowers)
        if index is None:
            index = ImageIndex(held.layers)
            self._indexes.put(held.layers.lowers, index)
        is_copy = index.copy_of(opened.file.size, digest, self._hasher) is not None
        return "copy_of_image_file" if is_copy else "new_file"

    def _blocks(self, held: Held, opened: Opened, digest: str, kind: str) -> bool:
        if self._policy is None or kind not in self._detect:
            return False
        event = {
            **workload_of(held.container, self._place),
            "process_name": safe_text(opened.path.rpartition(b"/")[2]),
            "process_path": safe_text(opened.path),
            "process_sha256": digest,
            "parent_process": safe_text(opened.parent) or None,
            "drift_kind": kind,
        }
        decision = self._policy.decide(event)
        return decision.action == "block" and self._policy.names_kind(decision.rule, kind)
