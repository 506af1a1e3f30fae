"""Keeps the kernel's tables of what to block in which container as the policy in force wants them.

Runs in a thread of its own, so that nothing else that the sensor does delays it: *Stop all blocking* takes effect
within a second, and whatever is not renewed ends by itself after three (docs/blocking.md#how-to-stop-it).
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from sensor.blocking.block_plan import (
    BLOCK_NOTHING,
    BY_NAME,
    FOREIGN,
    MAPPED,
    NEW,
    SCRIPT,
    VOLUME,
    VOLUME_SCRIPT,
    BlockPlan,
    block_plan,
    workload_id,
)
from sensor.blocking.container_tracker import ContainerTracker
from sensor.blocking.hold_client import HoldClient
from sensor.blocking.image_names import ImageNames
from sensor.blocking.mount_watch import MountWatch
from sensor.capture.block_tables import MAX_DEVICES, ContainerEntry
from sensor.capture.errors import CaptureUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.blocking.block_plan import ClusterLocation
    from sensor.blocking.container_tracker import TrackedContainer
    from sensor.blocking.kill_limit import KillLimit
    from sensor.capture.block_tables import BlockTables
    from sensor.container.base import Runtime
    from sensor.container.identify import Resolved
    from sensor.container.mounts import Mount
    from sensor.policy import Policy

UPDATE_SECONDS: Final = 0.5
LEASE_SECONDS: Final = 3.0
"""How long the kernel blocks without a renewal by this thread: blocking fails open."""
RUNTIME_REST_SECONDS: Final = 0.5
"""Pause after a runtime did not answer in time; short, because a container's first exec waits for it."""
MAX_PENDING: Final = 4_096

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BlockingPolicy:
    """A policy in force; `halted` is the `outcome_reason` why it blocks nothing, "" where it blocks."""

    document: dict[str, Any]
    policy: Policy
    detect: frozenset[str]
    halted: str = ""


class Blocker:
    """Blocking on one node. `meet` may be called from any thread; `policy` is called every half second."""

    def __init__(
        self,
        tables: BlockTables,
        runtimes: Sequence[Runtime],
        location: ClusterLocation,
        policy: Callable[[], BlockingPolicy | None],
        kill_limit: KillLimit,
    ) -> None:
        """Start at once, with nothing blocked. Raises OSError where the host's mount table is unreadable."""
        self._tables, self._location, self._policy = tables, location, policy
        self._kill_limit = kill_limit
        self._past_limit: frozenset[int] = frozenset()
        self._mounts = MountWatch()
        self._containers = ContainerTracker(runtimes, self._mounts.wake)
        self._images = ImageNames(tables)
        self._hold = HoldClient(tables, location)
        self._pending: collections.deque[Resolved] = collections.deque(maxlen=MAX_PENDING)
        self._in_force: BlockingPolicy | None = None
        self._overlays: dict[int, list[Mount]] | None = None
        self._stopping = threading.Event()
        self._tables.clear()
        self._thread = threading.Thread(target=self._run, name="blocking", daemon=True)
        self._thread.start()

    def meet(self, resolved: Resolved) -> None:
        """Note the container of an exec in a mount namespace that the kernel did not know."""
        self._pending.append(resolved)
        self._mounts.wake()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """`hold` only while execs are held: the policy blocks something and the node allows it."""
        return ("block", "hold") if self._hold.is_up else ("block",)

    def close(self) -> None:
        """Stop blocking; nothing of it outlives this."""
        self._stopping.set()
        self._mounts.wake()
        self._thread.join(LEASE_SECONDS)
        self._hold.close()
        self._images.close()
        self._tables.clear()
        self._mounts.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._update()
            except (OSError, CaptureUnavailable) as error:
                log.warning("Blocking could not be updated: %s", error)
            except Exception:
                log.exception("An update of blocking failed; what is not renewed ends by itself")
            retry = self._containers.next_retry()
            if self._mounts.wait(UPDATE_SECONDS if retry is None else min(UPDATE_SECONDS, retry + 0.01)):
                self._overlays = None

    def _update(self) -> None:
        policy = self._policy()
        # First of all, before anything that may wait for a runtime or a disk.
        if policy is None or policy.halted:
            self._tables.renew(0.0)
        changed, gone = self._update_containers()
        changed |= self._meet_pending()
        if policy != self._in_force:
            changed = set(self._containers.tracked)
            if policy is not None and (self._in_force is None or policy.document is not self._in_force.document):
                self._hold.follow(policy.document)
            self._in_force = policy
        changed |= self._passed_limit()
        for dev in changed:
            self._apply(dev, self._containers.tracked[dev], policy)
        if gone:
            blocked = [known for known in self._containers.tracked.values() if _needs_names(known)]
            self._images.keep_only({self._images.publish(known.layers) for known in blocked})
        # Last: the lease begins only once the tables are those of this policy.
        if policy is not None and not policy.halted:
            self._tables.renew(LEASE_SECONDS)
        self._hold.update()

    def _update_containers(self) -> tuple[set[int], set[int]]:
        """Return the devices of containers that came and went; the mount table is read only when it has changed."""
        if self._overlays is None:
            self._overlays = self._mounts.overlays()
        elif self._containers.next_retry() != 0.0:
            return set(), set()
        gone = self._containers.remove_unmounted(self._overlays)
        for dev in gone:
            self._tables.release(dev)
            self._hold.forget(dev)
        return self._containers.add_mounted(self._overlays, self._expect), gone

    def _expect(self, dev: int, point: bytes) -> None:
        """Hold a new container's execs until it is identified: its runtime may start one sooner than it answers."""
        if self._in_force is not None and not self._in_force.halted:
            self._hold.expect(dev, point)

    def _passed_limit(self) -> set[int]:
        """Return the containers whose workload went past the kill limit, or came back below it, since the last call."""
        past = self._kill_limit.workloads_past_limit()
        crossed, self._past_limit = past ^ self._past_limit, past
        tracked = self._containers.tracked.items() if crossed else ()
        return {dev for dev, known in tracked if workload_id(known.resolved.container) in crossed}

    def _meet_pending(self) -> set[int]:
        met = set()
        while self._pending:
            dev = self._containers.meet(self._pending.popleft())
            if dev is not None:
                met.add(dev)
        return met

    def _apply(self, dev: int, known: TrackedContainer, policy: BlockingPolicy | None) -> None:
        """Set which execs the policy blocks in one container."""
        container = known.resolved.container
        plan = BLOCK_NOTHING
        if policy is not None and not policy.halted:
            role = known.resolved.role
            plan = block_plan(policy.policy, policy.detect, container, self._location, role=role)
        plan = _without_unreadable_layers(plan, known)
        known.plan = _without_unknown_mounts(plan, known)
        if plan == BLOCK_NOTHING:
            self._tables.release(dev)
            self._hold.forget(dev)
            return
        image = self._images.publish(known.layers) if _needs_names(known) else 0
        entry = ContainerEntry(known.upper_ino, image, known.plan.kinds, known.volumes or ())
        self._tables.enforce(dev, entry)
        if plan.holds:
            self._hold.watch(dev, known, denies_new=workload_id(container) in self._past_limit)
        else:
            self._hold.forget(dev)


def _needs_names(known: TrackedContainer) -> bool:
    """Return whether the kernel program needs the names of the image's files; without them it stops none by name."""
    return bool(known.plan.any_kinds & BY_NAME) and known.layers.is_complete


def _without_unreadable_layers(plan: BlockPlan, known: TrackedContainer) -> BlockPlan:
    """Leave out all that takes the image's content to tell drift from an image's file, where that is unknown."""
    return plan if known.layers.is_complete else plan.without(NEW | MAPPED)._replace(holds=False)


def _without_unknown_mounts(plan: BlockPlan, known: TrackedContainer) -> BlockPlan:
    """Leave other filesystems out of the plan while it is unknown which of them the runtime mounted."""
    if known.volumes is None or len(known.volumes) > MAX_DEVICES:
        plan = plan.without(FOREIGN | VOLUME | SCRIPT | VOLUME_SCRIPT)
    # A filesystem is blocked as a whole: on a volume's there may be a file of the image, or the runtime's init.
    return plan.without(VOLUME | VOLUME_SCRIPT) if known.spares_volumes else plan
