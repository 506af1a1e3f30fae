"""A running sensor: its parts, put together, and the loop that moves events from the capture to the spool."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor.agent.exec_reporter import LOST as UNKNOWN_EXECS
from sensor.agent.exec_reporter import ExecReporter
from sensor.agent.pipeline import ALERTS_PER_MINUTE, Pipeline
from sensor.agent.policy_in_force import AppliedPolicy, PolicyKeeper
from sensor.agent.scheduled_calls import ScheduledCalls
from sensor.blocking.block_plan import ClusterLocation
from sensor.blocking.blocker import RUNTIME_REST_SECONDS, Blocker, BlockingPolicy
from sensor.blocking.kill_limit import FILES_PER_MINUTE, WORKLOADS, KillLimit, without_blocking
from sensor.capture.base import Capture
from sensor.capture.errors import CaptureUnavailable
from sensor.container.base import Runtime
from sensor.container.cluster_api import ClusterApi
from sensor.container.runtime_places import RuntimePlace
from sensor.container.runtimes import runtimes_of_node
from sensor.delivery.aggregation import WINDOW_SECONDS, Aggregator
from sensor.delivery.client import PortalClient, PortalError
from sensor.delivery.exec_uploader import ExecUploader
from sensor.delivery.lifecycle import Lifecycle
from sensor.delivery.policy_stream import PolicyStream
from sensor.delivery.rejected_events import RejectedEvents
from sensor.delivery.spool import MAX_BYTES, Spool
from sensor.delivery.uploader import Uploader
from sensor.names.masking import Masker
from sensor.operations.canary.keeper import Canaries
from sensor.operations.machine import boot_digest, machine_digest
from sensor.operations.state_directory import SensorIdentity, StateDirectory
from sensor.policy import Policy
from sensor.policy.features import FEATURES
from sensor.version import VERSION
from sensor.wire import MAX_GAPS, Counters, Heartbeat

EXEC_SPOOL_BYTES: Final = 8 * 1024 * 1024
"""Of what containers executed around their drift, while the portal is away."""
READ_SECONDS: Final = 0.5
"""How long a read of the capture waits, and so how soon a signal takes effect."""
FIRST_POLICY_SECONDS: Final = 5.0
"""How long a sensor without any policy waits for one before it leaves decisions to the portal."""
STOP_SECONDS: Final = 3.0
"""How long a stop waits for calls in progress; events not sent by then stay spooled."""
DRAIN_SECONDS: Final = 2.0
"""How long a stop keeps reading execs that the capture has already seen."""
DRAIN_IDLE_SECONDS: Final = 0.1
"""After so long without an event the capture counts as drained."""
LAST_HEARTBEAT_SECONDS: Final = 2.0
"""Timeout of the last heartbeat at a stop."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AgentSettings:
    """The command-line options of `run`."""

    heartbeat_seconds: float = 60.0
    poll_seconds: float = 300.0
    stream: bool = True
    window_seconds: float = WINDOW_SECONDS
    spool_bytes: int = MAX_BYTES
    alerts_per_minute: int = ALERTS_PER_MINUTE
    mask_names: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    """Capabilities to report besides the capture's own."""
    blocking: bool = True
    insecure_http: bool = False
    """Whether a portal beyond this machine may be called without TLS."""
    runtimes: tuple[RuntimePlace, ...] = ()
    """Container runtimes in unusual places."""
    cluster_api: ClusterApi | None = None
    """Where owners and labels of pods are read; None: as runtimes know them."""
    kills_per_minute: int = FILES_PER_MINUTE
    workloads_per_rule: int = WORKLOADS
    """By which a rule's blocking pauses (docs/blocking.md#kill-limit)."""


class Agent:
    """One sensor on one state directory."""

    def __init__(
        self, state: StateDirectory, identity: SensorIdentity, capture: Capture, settings: AgentSettings
    ) -> None:
        self.lifecycle = Lifecycle()
        self._identity, self._capture, self._settings = identity, capture, settings
        self._detect: frozenset[str] = frozenset()
        self._run_id = uuid.uuid4().hex
        self._machine_digest, self._boot_digest = machine_digest(), boot_digest()
        self._portal = PortalClient(
            identity.api_url, identity.credential, run_id=self._run_id, insecure_http=settings.insecure_http
        )
        self._spool = Spool(state.path / "spool", settings.spool_bytes)
        self._rejected = RejectedEvents(state.path / "set-aside.jsonl")
        self._policies = PolicyKeeper(state, identity.keys)
        self._canaries = Canaries(state.path / "canary", capture.adopt, self.lifecycle.pause)
        self._kill_limit = KillLimit(settings.kills_per_minute, settings.workloads_per_rule)
        self._partly: tuple[AppliedPolicy, frozenset[str], BlockingPolicy] | None = None
        self._aggregator = Aggregator(state.path / "folds", boot_id(), settings.window_seconds)
        masker = Masker(settings.mask_names)
        self._exec_spool = Spool(state.path / "execs", EXEC_SPOOL_BYTES)
        self._execs = ExecReporter(
            lambda: getattr(capture, "history", None),
            self._exec_spool,
            masker,
            path=state.path / "followed.json",
            boot=boot_id(),
        )
        self._pipeline = Pipeline(
            identity,
            self._policies,
            self._aggregator,
            self._spool,
            masker=masker,
            alerts_per_minute=settings.alerts_per_minute,
            why_not_blocking=self._why_not_blocking,
            is_canary=self._canaries.is_canary,
            kill_limit=self._kill_limit,
            note_sent=self._execs.note,
        )
        self._exec_uploader = ExecUploader(self._portal, self._exec_spool, self.lifecycle, is_wanted=self._execs.is_on)
        self._uploader = Uploader(self._portal, self._spool, self._rejected, self.lifecycle)
        self._calls = ScheduledCalls(
            self._portal,
            self._policies,
            self.lifecycle,
            self.heartbeat,
            heartbeat_seconds=settings.heartbeat_seconds,
            poll_seconds=settings.poll_seconds,
            set_canary_interval=self._canaries.set_interval,
            switch_exec_reports=self._execs.switch,
        )

    def run(self, finished: Callable[[], bool] = lambda: False) -> None:
        """Work until stopped, or until the capture is `finished` and everything is delivered.

        An exception leaves everything as a kill would: the capture keeps its pins, and the journal names the events
        of the current batch that are counted, so that the next process continues exactly here.
        """
        threads = self._start_threads()
        try:
            self._start_blocking()
            self._await_policy()
            while not self.lifecycle.stopping.is_set():
                self._read()
                if finished() and self._is_delivered():
                    break
            self._stop(threads)
        except BaseException:
            self._join(threads)
            self._capture.close(keep=True)
            raise

    def _start_threads(self) -> list[threading.Thread]:
        """Start all threads; returns those that a stop waits for."""
        threads = [
            self.lifecycle.start("upload", self._uploader.step),
            self.lifecycle.start("calls", self._calls.step),
            self.lifecycle.start("execs", self._exec_uploader.step),
        ]
        # A stop does not wait for these: the canary's process ends with this one, the stream blocks in a read.
        self.lifecycle.start("canary", self._canaries.step)
        if self._settings.stream:
            stream = PolicyStream(self._portal, self.lifecycle, self._calls.fetch_policy_soon)
            self.lifecycle.start("stream", stream.step)
        return threads

    def _start_blocking(self) -> None:
        """Start blocking if the capture can; a sensor that cannot block reports `not_blocked`."""
        start = getattr(self._capture, "start_blocking", None)
        if start is None or not self._settings.blocking:
            return
        location = ClusterLocation(self._identity.provider, self._identity.account, self._identity.cluster_name)
        try:
            start(lambda tables: Blocker(tables, self._runtimes(), location, self._blocking_policy, self._kill_limit))
        except (OSError, CaptureUnavailable) as error:
            log.warning("This sensor does not block: %s", error)

    def _runtimes(self) -> list[Runtime]:
        """Return the runtimes for blocking: queried from threads of its own, and again soon after a late answer."""
        settings = self._settings
        return runtimes_of_node(RUNTIME_REST_SECONDS, self._identity.node, settings.runtimes, settings.cluster_api)

    def _blocking_policy(self) -> BlockingPolicy | None:
        """Return what to block by now: the policy, without the rules whose blocking is paused."""
        applied = self._policies.current
        if applied is None:
            return None
        halted = self._why_halted(applied)
        paused = frozenset(each.rule for each in self._kill_limit.paused_rules(applied.document))
        if not paused or halted:
            return BlockingPolicy(applied.document, applied.policy, applied.detect, halted)
        if self._partly is None or self._partly[:2] != (applied, paused):
            log.warning("Blocking is paused under %s: it stopped much in many workloads at once", ", ".join(paused))
            document = without_blocking(applied.document, paused)
            self._partly = applied, paused, BlockingPolicy(document, Policy(document), applied.detect)
        return self._partly[2]

    def _why_halted(self, applied: AppliedPolicy) -> str:
        if self.lifecycle.environment_off:
            return "environment_off"
        return "stopped" if applied.blocking_stopped else ""

    def _why_not_blocking(self) -> str:
        """Return the `outcome_reason` for a node that blocks nothing at all; "" where it blocks."""
        if "block" not in self._capabilities():
            return "not_supported"
        applied = self._policies.current
        return self._why_halted(applied) if applied else ""

    def _capabilities(self) -> list[str]:
        of_capture = getattr(self._capture, "capabilities", ())
        return [self._capture.name, *self._settings.capabilities, *of_capture, *FEATURES]

    def _await_policy(self) -> None:
        until = time.monotonic() + FIRST_POLICY_SECONDS
        while self._policies.current is None and time.monotonic() < until and not self.lifecycle.stopping.is_set():
            self.lifecycle.pause(0.1)

    def _read(self) -> None:
        self._apply_detect()
        self._handle_batch(READ_SECONDS)
        self._execs.step()
        self._pipeline.flush()

    def _apply_detect(self) -> None:
        """Pass the policy's drift kinds on to the capture when they change: some are expensive to detect."""
        applied = self._policies.current
        if applied is not None and applied.detect != self._detect:
            self._detect = applied.detect
            detect: Callable[[frozenset[str]], None] | None = getattr(self._capture, "detect", None)
            if detect is not None:
                detect(applied.detect)

    def _handle_batch(self, seconds: float) -> bool:
        """Read and store one batch; returns whether one arrived within `seconds`."""
        events = self._capture.read(seconds)
        if events:
            self._pipeline.handle(events)
            # Only now: until the batch is on disk, the kernel's ring is its only copy.
            self._capture.commit()
        return bool(events)

    def _is_delivered(self) -> bool:
        self._pipeline.flush(now=True)
        return self._spool.waiting == 0

    def _stop(self, threads: list[threading.Thread]) -> None:
        self.lifecycle.stopping.set()
        self._drain()
        self._pipeline.flush(now=True)
        self._join(threads)
        self._capture.close()
        self._send_last_heartbeat()
        self._spool.close()
        self._exec_spool.close()
        log.info("Stopped; %d events remain spooled", self._spool.waiting)

    def _drain(self) -> None:
        """End the capture and read its remaining execs, so that a stop under load loses nothing it has time to read."""
        self._capture.detach()
        until = time.monotonic() + DRAIN_SECONDS
        while self._handle_batch(DRAIN_IDLE_SECONDS) and time.monotonic() < until:
            pass

    def _join(self, threads: list[threading.Thread]) -> None:
        """Wait for the threads before the capture closes: the heartbeat reads its counters."""
        self.lifecycle.stopping.set()
        for thread in threads:
            thread.join(STOP_SECONDS / len(threads))

    def _send_last_heartbeat(self) -> None:
        """Report what was counted since the last heartbeat; the next process starts at 0."""
        if self.lifecycle.fatal:
            return
        try:
            self._portal.heartbeat(self.heartbeat(), timeout=LAST_HEARTBEAT_SECONDS)
        except PortalError as error:
            log.info("The last counts were not reported: %s", error)

    def heartbeat(self) -> Heartbeat:
        """Return what this sensor is and has counted so far."""
        applied, cluster = self._policies.current, self._identity.cluster
        gaps = self._capture.counters().gaps
        return Heartbeat(
            sensor_version=VERSION,
            kubernetes_version=cluster.kubernetes_version,
            capabilities=self._capabilities(),
            backend=self._capture.name,
            applied_number=applied.number if applied else None,
            counters=self.counters(),
            applied_etag=applied.etag if applied else None,
            keys=self._policies.key_ids,
            run_id=self._run_id,
            gaps=list(gaps[:MAX_GAPS]),
            gap_count=len(gaps),
            policy_expires_at=applied.expires_at if applied else None,
            machine_digest=self._machine_digest,
            boot_digest=self._boot_digest,
            paused_rules=self._kill_limit.paused_rules(applied.document)[:MAX_GAPS] if applied else [],
            sent_at=dt.datetime.now(dt.UTC),
        )

    def counters(self) -> Counters:
        """Return the counts since the start; `spooled` is the number of events waiting now."""
        seen = self._capture.counters()
        broken = self._spool.broken + self._uploader.broken + self._aggregator.broken
        ours = {"spool_broken": broken, "set_aside": self._rejected.unkept}
        lost = {**seen.lost, **self._pipeline.lost, **{cause: number for cause, number in ours.items() if number}}
        return Counters(
            execs=seen.execs,
            drifted=seen.drifted,
            unresolved=seen.unresolved,
            spooled=self._spool.waiting,
            set_aside=self._rejected.count,
            lost=lost,
            unknown=seen.unknown | self._unknown_execs(),
        )

    def _unknown_execs(self) -> dict[str, int]:
        lacking = self._execs.unknown[UNKNOWN_EXECS] + self._exec_uploader.dropped + self._exec_spool.broken
        return {UNKNOWN_EXECS: lacking} if lacking else {}


def boot_id() -> str:
    """Return the kernel's id of this boot of the node."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
