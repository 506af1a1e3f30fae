"""Everything the sensor tells and asks on a schedule: its policy, what became of it, that it lives."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sensor.agent.policy_in_force import PolicyKeeper
from sensor.delivery.client import PortalClient, PortalError, PortalUnavailable, RequestRejected, unquoted_etag
from sensor.delivery.lifecycle import Backoff, Lifecycle, jittered
from sensor.wire import Heartbeat, PolicyStatus

log = logging.getLogger(__name__)


@dataclass
class ScheduledCall:
    """A call that is made now and again; `due` in seconds of the monotonic clock."""

    name: str
    call: Callable[[], None]
    seconds: float
    due: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class ScheduledCalls:
    """Makes its calls one after another in one thread; `fetch_soon` may be called from any."""

    def __init__(
        self,
        portal: PortalClient,
        policies: PolicyKeeper,
        running: Lifecycle,
        heartbeat: Callable[[], Heartbeat],
        *,
        heartbeat_seconds: float,
        poll_seconds: float,
        prove_every: Callable[[float | None], None],
    ) -> None:
        """`prove_every` takes how often the portal asks for a proof of detection."""
        self._portal, self._policies, self._running, self._heartbeat = portal, policies, running, heartbeat
        self._prove_every = prove_every
        self._wake = threading.Event()
        self._unreported: PolicyStatus | None = policies.status()
        self._fetching = ScheduledCall("policy", self._fetch, poll_seconds)
        self._jobs = (
            self._fetching,
            ScheduledCall("policy status", self._report, 0.0),
            ScheduledCall("heartbeat", self._beat, heartbeat_seconds),
        )

    def fetch_soon(self, within: float = 0.0) -> None:
        """Ask for the policy at a random moment within so many seconds, or when it was due anyway; 0: at once."""
        moment = time.monotonic() + random.uniform(0, within)  # noqa: S311 - spreads load, guards nothing
        self._fetching.due = min(self._fetching.due, moment) if within else 0.0
        self._wake.set()

    def step(self) -> None:
        """Make the calls that are due, then wait for the next one."""
        self._wake.clear()
        for job in self._jobs:
            if job.due <= time.monotonic() and not self._running.stopping.is_set():
                self._try(job)
        pending = [job.due for job in self._jobs if job.name != "policy status" or self._unreported]
        self._wait(min(pending) - time.monotonic())

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + min(seconds, 3_600.0)
        while not self._running.stopping.is_set() and time.monotonic() < until and not self._wake.is_set():
            self._wake.wait(min(1.0, max(0.0, until - time.monotonic())))

    def _try(self, job: ScheduledCall) -> None:
        job.due = planned = time.monotonic() + jittered(job.seconds, 0.1)
        try:
            job.call()
        except PortalError as error:
            self._running.answered(error)
            seconds = job.backoff.next(error.retry_after if isinstance(error, PortalUnavailable) else None)
            if job.due == planned:  # else a push asked for it meanwhile
                job.due = time.monotonic() + seconds
            log.warning("The %s call is made again in %.0f s: %s", job.name, seconds, error)
        else:
            job.backoff.reset()

    def _fetch(self) -> None:
        current = self._policies.current
        fetched = self._portal.policy(current.etag if current else None, self._policies.key_ids)
        self._running.answered()
        if fetched:
            self._unreported = self._policies.consider(fetched) or self._unreported

    def _report(self) -> None:
        status = self._unreported
        if status:
            try:
                self._portal.report(status)
            except RequestRejected as refusal:  # what a broken bundle claims of itself need not be sayable
                log.warning("The portal takes no report on policy version %d: %s", status.number, refusal)
            self._running.answered()
            self._unreported = None

    def _beat(self) -> None:
        response = self._portal.heartbeat(self._heartbeat())
        self._running.answered()
        self._prove_every(response.canary_seconds)
        if response.desired_etag and unquoted_etag(response.desired_etag) != self._policies.considered:
            self.fetch_soon()
