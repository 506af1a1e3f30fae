"""The calls that the sensor makes on a schedule: fetch the policy, acknowledge it, send a heartbeat."""

from __future__ import annotations

import datetime as dt
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sensor.agent.policy_in_force import PolicyKeeper
from sensor.delivery.backoff import Backoff, jittered
from sensor.delivery.client import PortalClient, PortalError, PortalUnavailable, RequestRejected, unquoted_etag
from sensor.delivery.lifecycle import Lifecycle
from sensor.wire import Heartbeat, PolicyStatus

WARN_SECONDS: Final = 3_600.0
PROVE_SECONDS: Final = 3_600.0
"""Between two proofs of a number: a bundle may have a megabyte."""

log = logging.getLogger(__name__)


@dataclass
class ScheduledCall:
    """A call to repeat every `seconds`; `due` is a time of the monotonic clock."""

    name: str
    call: Callable[[], None]
    seconds: float
    due: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class ScheduledCalls:
    """Makes its calls one after another in one thread; `fetch_policy_soon` may be called from any."""

    def __init__(
        self,
        portal: PortalClient,
        policies: PolicyKeeper,
        lifecycle: Lifecycle,
        heartbeat: Callable[[], Heartbeat],
        *,
        heartbeat_seconds: float,
        poll_seconds: float,
        set_canary_interval: Callable[[float | None], None],
        switch_exec_reports: Callable[[bool], None],
    ) -> None:
        """Pass what the portal sets on: the interval of proofs of detection, and whether it wants reports of execs."""
        self._portal, self._policies, self._lifecycle, self._heartbeat = portal, policies, lifecycle, heartbeat
        self._set_canary_interval, self._switch_exec_reports = set_canary_interval, switch_exec_reports
        self._wake = threading.Event()
        # What an earlier process applied is reported again: that report may not have arrived.
        self._unreported: PolicyStatus | None = policies.status()
        self._prove_at = self._warn_at = 0.0
        self._policy_call = ScheduledCall("policy", self._fetch_policy, poll_seconds)
        self._report_call = ScheduledCall("policy status", self._report_status, 0.0)
        self._heartbeat_call = ScheduledCall("heartbeat", self._send_heartbeat, heartbeat_seconds)

    def fetch_policy_soon(self, within: float = 0.0) -> None:
        """Fetch the policy at a random moment within `within` seconds, or earlier if it was due; 0: at once."""
        moment = time.monotonic() + random.uniform(0, within)  # noqa: S311 - spreads load, guards nothing
        self._policy_call.due = min(self._policy_call.due, moment) if within else 0.0
        self._wake.set()

    def step(self) -> None:
        """Make the calls that are due, then wait for the next one."""
        self._wake.clear()
        for call in (self._policy_call, self._report_call, self._heartbeat_call):
            if call.due <= time.monotonic() and not self._lifecycle.stopping.is_set():
                self._make(call)
        pending = [self._policy_call, self._heartbeat_call, *([self._report_call] if self._unreported else [])]
        self._wait(min(call.due for call in pending) - time.monotonic())

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + min(seconds, 3_600.0)
        while not self._lifecycle.stopping.is_set() and time.monotonic() < until and not self._wake.is_set():
            # In steps of a second: a stop does not set this event.
            self._wake.wait(min(1.0, max(0.0, until - time.monotonic())))

    def _make(self, scheduled: ScheduledCall) -> None:
        scheduled.due = planned = time.monotonic() + jittered(scheduled.seconds, 0.1)
        try:
            scheduled.call()
        except PortalError as error:
            self._lifecycle.record_answer(error)
            retry_after = error.retry_after if isinstance(error, PortalUnavailable) else None
            seconds = scheduled.backoff.next(retry_after)
            if scheduled.due == planned:  # else a push arrived during the call and scheduled it sooner
                scheduled.due = time.monotonic() + seconds
            log.warning("The %s call is retried in %.0f s: %s", scheduled.name, seconds, error)
        else:
            scheduled.backoff.reset()

    def _fetch_policy(self) -> None:
        current = self._policies.current
        fetched = self._portal.policy(current.etag if current else None, self._policies.key_ids)
        self._lifecycle.record_answer()
        if fetched:
            self._unreported = self._policies.consider(fetched) or self._unreported

    def _report_status(self) -> None:
        status = self._unreported
        if status is None:
            return
        try:
            self._portal.report(status)
        except RequestRejected as rejection:
            # Number and digest of a rejected bundle are its own claims; they may break the wire's bounds.
            log.warning("The portal rejected the report on policy version %d: %s", status.number, rejection)
        self._lifecycle.record_answer()
        self._unreported = None

    def _warn_of_expiry(self) -> None:
        """Log, once an hour, that the policy's bundle has expired. It stays in force: no policy would be worse."""
        applied, now = self._policies.current, time.monotonic()
        if applied is None or not applied.is_expired(dt.datetime.now(dt.UTC)) or now < self._warn_at:
            return
        self._warn_at = now + WARN_SECONDS
        log.warning(
            "The policy bundle expired at %s and stays in force: newer ones are held back, or this clock is wrong",
            applied.expires_at,
        )

    def _prove(self) -> None:
        """Show the portal, restored from an older backup, the bundle that it does not know; once an hour at most."""
        bundle, now = self._policies.applied_bundle(), time.monotonic()
        if bundle is None or now < self._prove_at:
            return
        self._prove_at = now + PROVE_SECONDS
        try:
            self._portal.prove(bundle)
        except RequestRejected as rejection:
            log.warning("The portal does not accept the applied bundle as its own: %s", rejection)

    def _send_heartbeat(self) -> None:
        self._warn_of_expiry()
        response = self._portal.heartbeat(self._heartbeat())
        self._lifecycle.record_answer()
        self._set_canary_interval(response.canary_seconds)
        self._switch_exec_reports(response.wants_execs)
        # `considered`, not the applied one: a rejected bundle is not fetched again at every heartbeat.
        if response.wants_proof:
            self._prove()
        if response.desired_etag and unquoted_etag(response.desired_etag) != self._policies.considered:
            self.fetch_policy_soon()
