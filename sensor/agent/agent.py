"""The parts of a running sensor, put together."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor import __version__
from sensor.agent.pipeline import ALERTS_PER_MINUTE, Pipeline
from sensor.agent.policy_in_force import AppliedPolicy, PolicyKeeper
from sensor.agent.scheduled_calls import ScheduledCalls
from sensor.blocking.block_plan import ClusterLocation
from sensor.blocking.blocker import KILLS_PER_MINUTE, BlockingPolicy, start_blocker
from sensor.capture.base import Capture, CaptureUnavailable
from sensor.delivery.aggregation import WINDOW_SECONDS, Aggregator
from sensor.delivery.client import PortalClient, PortalError
from sensor.delivery.lifecycle import Lifecycle
from sensor.delivery.masking import Masker
from sensor.delivery.policy_stream import PolicyStream
from sensor.delivery.rejected_events import RejectedEvents
from sensor.delivery.spool import MAX_BYTES, Spool
from sensor.delivery.uploader import Uploader
from sensor.operations.canary.keeper import Canaries
from sensor.operations.state_directory import SensorIdentity, StateDirectory
from sensor.wire import Counters, Heartbeat

READ_SECONDS: Final = 0.5
"""How long a read of the capture waits, and so how soon a signal is obeyed."""
FIRST_POLICY_SECONDS: Final = 5.0
"""How long a sensor without any policy waits for one before it leaves decisions to the portal."""
STOP_SECONDS: Final = 3.0
"""How long the end waits for a call that is under way; what is not sent stays spooled."""
DRAIN_SECONDS: Final = 2.0
"""How long the end goes on to read what the capture has seen already."""
DRAIN_QUIET_SECONDS: Final = 0.1
"""Without an event for so long the capture is empty."""
FAREWELL_SECONDS: Final = 2.0
"""How long the end waits for the portal to connect, and to answer, the last heartbeat."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AgentSettings:
    """What the command line can choose for a run."""

    heartbeat_seconds: float = 60.0
    poll_seconds: float = 300.0
    stream: bool = True
    window_seconds: float = WINDOW_SECONDS
    spool_bytes: int = MAX_BYTES
    alerts_per_minute: int = ALERTS_PER_MINUTE
    mask_names: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    """What the capture was asked to do beyond its name."""
    blocking: bool = True
    kills_per_minute: int = KILLS_PER_MINUTE


class Agent:
    """One sensor on one state folder."""

    def __init__(
        self, state: StateDirectory, identity: SensorIdentity, capture: Capture, settings: AgentSettings
    ) -> None:
        self.running = Lifecycle()
        self._identity, self._capture, self._settings = identity, capture, settings
        self._detect: frozenset[str] = frozenset()
        self._run_id = uuid.uuid4().hex
        self._portal = PortalClient(identity.api_url, identity.credential, run_id=self._run_id)
        self._spool = Spool(state.folder / "spool", settings.spool_bytes)
        self._set_aside = RejectedEvents(state.folder / "set-aside.jsonl")
        self._policies = PolicyKeeper(state, identity.keys)
        self._canaries = Canaries(state.folder / "canary", capture.adopt, self.running.pause)
        self._folds = Aggregator(state.folder / "folds", boot_id(), settings.window_seconds)
        masker = Masker(settings.mask_names)
        self._pipeline = Pipeline(
            identity,
            self._policies,
            self._folds,
            self._spool,
            masker=masker,
            alerts_per_minute=settings.alerts_per_minute,
            why_not_blocking=self._why_not_blocking,
            is_canary=self._canaries.claims,
        )
        self._uploader = Uploader(self._portal, self._spool, self._set_aside, self.running)
        self._control = ScheduledCalls(
            self._portal,
            self._policies,
            self.running,
            self.heartbeat,
            heartbeat_seconds=settings.heartbeat_seconds,
            poll_seconds=settings.poll_seconds,
            prove_every=self._canaries.every,
        )

    def run(self, finished: Callable[[], bool] = lambda: False) -> None:
        """Work until stopped; or until the capture is `finished` and everything is delivered.

        On an exception everything is left as by a kill: the capture keeps its pins, and the journal says
        which events of the batch at hand are counted, so that the next process goes on exactly here.
        """
        threads = self._start_threads()
        try:
            self._start_blocking()
            self._await_policy()
            while not self.running.stopping.is_set():
                self._read()
                if finished() and self._is_delivered():
                    break
            self._stop(threads)
        except BaseException:
            self._join(threads)
            self._capture.close(keep=True)
            raise

    def _start_blocking(self) -> None:
        """Where the capture can: what it can't stop is reported as not blocked."""
        start = getattr(self._capture, "start_blocking", None)
        if start is None or not self._settings.blocking:
            return
        place = ClusterLocation(self._identity.provider, self._identity.account, self._identity.cluster_name)
        try:
            start(lambda tables: start_blocker(tables, place, self._orders, self._settings.kills_per_minute))
        except (OSError, CaptureUnavailable) as error:
            log.warning("This sensor does not block: %s", error)

    def _orders(self) -> BlockingPolicy | None:
        """The policy in force, as blocking follows it."""
        applied = self._policies.current
        return (
            BlockingPolicy(applied.document, applied.policy, applied.detect, self._halted(applied)) if applied else None
        )

    def _halted(self, applied: AppliedPolicy) -> str:
        if self.running.environment_off:
            return "environment_off"
        return "stopped" if applied.blocking_stopped else ""

    def _why_not_blocking(self) -> str:
        """Why nothing at all is blocked here, "" where something is."""
        if "block" not in self._capabilities():
            return "not_supported"
        applied = self._policies.current
        return self._halted(applied) if applied else ""

    def _capabilities(self) -> list[str]:
        return [self._capture.name, *self._settings.capabilities, *getattr(self._capture, "capabilities", ())]

    def _start_threads(self) -> list[threading.Thread]:
        threads = [
            self.running.start("upload", self._uploader.step),
            self.running.start("control", self._control.step),
        ]
        self.running.start("canary", self._canaries.step)  # not waited for: its process ends with this one
        if self._settings.stream:
            stream = PolicyStream(self._portal, self.running, self._control.fetch_soon)
            self.running.start("stream", stream.step)  # not waited for: it sits in a read
        return threads

    def _await_policy(self) -> None:
        waited = 0.0
        while self._policies.current is None and waited < FIRST_POLICY_SECONDS and not self.running.stopping.is_set():
            self.running.pause(0.1)
            waited += 0.1

    def _read(self) -> None:
        self._follow_policy()
        self._take(READ_SECONDS)
        self._pipeline.flush()

    def _follow_policy(self) -> None:
        """Tell the capture which kinds the policy asks for, where that has changed: some cost more to look for."""
        applied = self._policies.current
        if applied is not None and applied.detect != self._detect:
            self._detect = applied.detect
            detect: Callable[[frozenset[str]], None] | None = getattr(self._capture, "detect", None)
            if detect is not None:
                detect(applied.detect)

    def _take(self, seconds: float) -> bool:
        """One batch on its way; whether there was any within `seconds`."""
        events = self._capture.read(seconds)
        if events:
            self._pipeline.handle(events)
            self._capture.commit()
        return bool(events)

    def _is_delivered(self) -> bool:
        self._pipeline.flush(now=True)
        return self._spool.waiting == 0

    def _drain(self) -> None:
        """End the capture, and take what it has seen: a stop under load loses nothing that can be read in time."""
        self._capture.detach()
        until = time.monotonic() + DRAIN_SECONDS
        while self._take(DRAIN_QUIET_SECONDS) and time.monotonic() < until:
            pass

    def _stop(self, threads: list[threading.Thread]) -> None:
        self.running.stopping.set()
        self._drain()
        self._pipeline.flush(now=True)
        self._join(threads)
        self._capture.close()
        self._say_farewell()
        self._spool.close()
        log.info("Stopped; %d events wait on disk", self._spool.waiting)

    def _join(self, threads: list[threading.Thread]) -> None:
        """Before the capture closes: the heartbeat asks it."""
        self.running.stopping.set()
        for thread in threads:
            thread.join(STOP_SECONDS / len(threads))

    def _say_farewell(self) -> None:
        """One heartbeat more: what was counted since the last one would never be reported."""
        if self.running.fatal:
            return
        try:
            self._portal.heartbeat(self.heartbeat(), timeout=FAREWELL_SECONDS)
        except PortalError as error:
            log.info("The last counts were not reported: %s", error)

    def heartbeat(self) -> Heartbeat:
        """What this sensor is and has counted so far."""
        applied, cluster = self._policies.current, self._identity.cluster
        return Heartbeat(
            sensor_version=__version__,
            kubernetes_version=cluster.kubernetes_version,
            capabilities=self._capabilities(),
            backend=self._capture.name,
            applied_number=applied.number if applied else None,
            counters=self.counters(),
            applied_etag=applied.etag if applied else None,
            keys=self._policies.key_ids,
            run_id=self._run_id,
        )

    def counters(self) -> Counters:
        """Since the start; `spooled` is what waits now."""
        seen = self._capture.counters()
        broken = self._spool.broken + self._uploader.broken + self._folds.broken
        ours = {"spool_broken": broken, "set_aside": self._set_aside.unkept}
        lost = {**seen.lost, **self._pipeline.lost, **{cause: number for cause, number in ours.items() if number}}
        return Counters(
            execs=seen.execs,
            drifted=seen.drifted,
            unresolved=seen.unresolved,
            spooled=self._spool.waiting,
            set_aside=self._set_aside.count,
            lost=lost,
            unknown=seen.unknown,
        )


def boot_id() -> str:
    """This boot of the node, as the kernel names it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
