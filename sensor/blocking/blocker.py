"""Keeps the kernel told of what to block in which container: by the policy in force, renewed every moment.

Works in a thread of its own, so that nothing else that the sensor does can keep it: a switch to stop is obeyed
within a second, and what is not renewed ends by itself after three.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from sensor.blocking.block_plan import BLOCK_NOTHING, FOREIGN, NEW, VOLUME, BlockPlan, block_plan, workload_id
from sensor.blocking.container_tracker import ContainerTracker
from sensor.blocking.hold_client import HoldClient
from sensor.blocking.image_names import ImageNames
from sensor.blocking.mount_watch import MountWatch
from sensor.capture.base import CaptureUnavailable
from sensor.capture.block_tables import MAX_DEVICES, ContainerEntry
from sensor.container.runtimes import runtimes_of_node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.blocking.block_plan import ClusterLocation
    from sensor.blocking.container_tracker import TrackedContainer
    from sensor.capture.block_tables import BlockTables
    from sensor.container.base import Runtime
    from sensor.container.identify import Resolved
    from sensor.container.mounts import Mount
    from sensor.policy import Policy

KILLS_PER_MINUTE: Final = 30
"""Of one workload: what is mistakenly blocked must not bring an estate down (docs/blocking.md)."""
TURN_SECONDS: Final = 0.5
LEASE_SECONDS: Final = 3.0
"""How long the kernel goes on blocking without a word from this thread: it fails open."""
RUNTIME_REST_SECONDS: Final = 0.5
"""How long a runtime is left alone that did not answer in time: a container's first exec waits for it."""
MAX_NEWS: Final = 4_096

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BlockingPolicy:
    """A policy in force, and why nothing is to be blocked all the same ("" where blocking is on)."""

    document: dict[str, Any]
    policy: Policy
    detect: frozenset[str]
    halted: str = ""


class Blocker:
    """Blocking on one node. `meet` may be called from any thread; `orders` is asked every half second."""

    def __init__(
        self,
        tables: BlockTables,
        runtimes: Sequence[Runtime],
        place: ClusterLocation,
        orders: Callable[[], BlockingPolicy | None],
        *,
        kills_per_minute: int = KILLS_PER_MINUTE,
    ) -> None:
        """Starts at once, with nothing blocked. Raises OSError where the host's mounts can't be read."""
        self._tables, self._place, self._orders = tables, place, orders
        self._kills_per_minute = kills_per_minute
        self._containers = ContainerTracker(runtimes)
        self._images = ImageNames(tables)
        self._hold = HoldClient(tables, place)
        self._news: collections.deque[Resolved] = collections.deque(maxlen=MAX_NEWS)
        self._obeyed: BlockingPolicy | None = None
        self._overlays: dict[int, list[Mount]] | None = None
        self._stopping = threading.Event()
        self._watch = MountWatch()
        self._tables.clear()
        self._thread = threading.Thread(target=self._run, name="blocking", daemon=True)
        self._thread.start()

    def meet(self, resolved: Resolved) -> None:
        """An exec was seen in a mount namespace that the kernel did not know."""
        self._news.append(resolved)
        self._watch.wake()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """`hold` where execs are held now, because the policy blocks something and that works here."""
        return ("block", "hold") if self._hold.is_up else ("block",)

    def close(self) -> None:
        """Stop blocking: nothing of it outlives this."""
        self._stopping.set()
        self._watch.wake()
        self._thread.join(LEASE_SECONDS)
        self._hold.close()
        self._images.close()
        self._tables.clear()
        self._watch.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except (OSError, CaptureUnavailable) as error:
                log.warning("Blocking could not be kept up to date: %s", error)
            except Exception:
                log.exception("A turn of blocking failed; what is not renewed ends by itself")
            retry = self._containers.next_retry()
            if self._watch.wait(TURN_SECONDS if retry is None else min(TURN_SECONDS, retry + 0.01)):
                self._overlays = None

    def _turn(self) -> None:
        orders = self._orders()
        if orders is None or orders.halted:
            self._tables.renew(0.0, 0)
        came, gone = self._changes()
        came |= self._met()
        if orders != self._obeyed:
            came = set(self._containers.tracked)
            if orders is not None and (self._obeyed is None or orders.document is not self._obeyed.document):
                self._hold.follow(orders.document)
            self._obeyed = orders
        for dev in came:
            self._apply(dev, self._containers.tracked[dev], orders)
        if gone:
            self._images.keep_only({self._images.tell(known.layers) for known in self._blocked()})
        if orders is not None and not orders.halted:
            self._tables.renew(LEASE_SECONDS, self._kills_per_minute)
        self._hold.turn()

    def _changes(self) -> tuple[set[int], set[int]]:
        """Containers that came and went; the mount table is read only when it has changed."""
        if self._overlays is None:
            self._overlays = self._watch.overlays()
        elif self._containers.next_retry() != 0.0:
            return set(), set()
        gone = self._containers.sweep(self._overlays)
        for dev in gone:
            self._tables.release(dev)
            self._hold.forget(dev)
        return self._containers.update(self._overlays, self._expect), gone

    def _expect(self, dev: int, point: bytes) -> None:
        """Let no exec go on in a container before it is known whose: its runtime may start it sooner than say so."""
        if self._obeyed is not None and not self._obeyed.halted:
            self._hold.expect(dev, point)

    def _met(self) -> set[int]:
        met = set()
        while self._news:
            dev = self._containers.meet(self._news.popleft())
            if dev is not None:
                met.add(dev)
        return met

    def _blocked(self) -> list[TrackedContainer]:
        return [known for known in self._containers.tracked.values() if known.plan.kinds & NEW]

    def _apply(self, dev: int, known: TrackedContainer, orders: BlockingPolicy | None) -> None:
        """Tell the kernel what the orders mean for one container."""
        container = known.resolved.container
        plan = BLOCK_NOTHING
        if orders is not None and not orders.halted:
            plan = block_plan(orders.policy, orders.detect, container, self._place)
        known.plan = _within_knowledge(plan, known)
        if plan == BLOCK_NOTHING:
            self._tables.release(dev)
            self._hold.forget(dev)
            return
        image = self._images.tell(known.layers) if known.plan.kinds & NEW else 0
        entry = ContainerEntry(known.upper_ino, workload_id(container), image, known.plan.kinds, known.volumes or ())
        self._tables.enforce(dev, entry)
        if plan.holds:
            self._hold.watch(dev, known)
        else:
            self._hold.forget(dev)


def start_blocker(
    tables: BlockTables, place: ClusterLocation, orders: Callable[[], BlockingPolicy | None], kills_per_minute: int
) -> Blocker:
    """Start blocking by the tables of a capture backend. Raises OSError where the host's mounts can't be read."""
    return Blocker(tables, runtimes_of_node(RUNTIME_REST_SECONDS), place, orders, kills_per_minute=kills_per_minute)


def _within_knowledge(plan: BlockPlan, known: TrackedContainer) -> BlockPlan:
    """Less of other filesystems, as long as it is not known which of them the runtime mounted."""
    if known.volumes is None or len(known.volumes) > MAX_DEVICES:
        plan = plan._replace(kinds=plan.kinds & ~(FOREIGN | VOLUME))
    # The runtime's own init is a file on a filesystem that a volume may be on too.
    return plan._replace(kinds=plan.kinds & ~VOLUME) if known.has_init else plan
