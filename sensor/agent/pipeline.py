"""From what the capture saw to what the spool keeps: filter, decide, mask, fold or spool."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from sensor import wire
from sensor.agent.policy_in_force import AppliedPolicy, PolicyKeeper
from sensor.delivery.aggregation import AggregationWindow, Aggregator
from sensor.delivery.masking import Masker
from sensor.delivery.spool import Spool
from sensor.delivery.truncation import truncated
from sensor.operations.state_directory import SensorIdentity
from sensor.policy import DEFAULT_DETECT

ALERTS_PER_MINUTE: Final = 60
"""Events of one fingerprint that are sent as they are, each minute; further ones are counted."""
CONTAINER_ALERTS_PER_MINUTE: Final = 600
"""Events of one container that are sent as they are, each minute: ever new names must not drown out the others."""
SUMMARIES: Final = 500
"""Summaries that are made at once."""
NEVER_BLOCKED: Final = frozenset({"loader", "library", "interpreter"})
"""Kinds that show in no exec of their own."""
INCOMPLETE_EVERY: Final = 3_600.0
"""Seconds between two alerts that containers could not be named (DESIGN: one a node and hour)."""


class Pipeline:
    """Handles one batch after another. On return of `handle` the batch is on disk: the capture may let go."""

    def __init__(
        self,
        identity: SensorIdentity,
        policies: PolicyKeeper,
        folds: Aggregator,
        spool: Spool,
        *,
        masker: Masker,
        alerts_per_minute: int = ALERTS_PER_MINUTE,
        container_alerts_per_minute: int = CONTAINER_ALERTS_PER_MINUTE,
        why_not_blocking: Callable[[], str] = lambda: "not_supported",
        is_canary: Callable[[wire.Event], bool] = lambda event: False,
    ) -> None:
        self._place = identity.provider, identity.account, identity.cluster_name
        self._policies, self._folds, self._spool, self._masker = policies, folds, spool, masker
        self._limits = EventRateLimits(alerts_per_minute, container_alerts_per_minute)
        self._why_not_blocking, self._is_canary = why_not_blocking, is_canary
        self._latest: AppliedPolicy | None = None
        self._before: AppliedPolicy | None = None
        self._incomplete_until = 0.0
        self.lost: Counter[str] = Counter()
        """Execs lost, by cause."""

    def handle(self, events: Sequence[wire.Event]) -> None:
        """Take a batch; each event is decided by one policy as a whole."""
        applied = self._policies.current
        if applied is not self._latest:
            self._before, self._latest = self._latest, applied
        folded: list[wire.Event] = []
        sent: list[wire.Event] = []
        for event in events:
            if event.event_id in self._folds.counted:
                continue
            prepared = self._prepare(event, applied)
            if prepared:
                (folded if self._is_folded(prepared) else sent).append(prepared)
        if folded or sent:
            self._count_lost(self._folds.record(folded, sent))
            self._store(sent)

    def _prepare(self, event: wire.Event, applied: AppliedPolicy | None) -> wire.Event | None:
        """The event as it will be sent; None where the policy does not ask for its kind."""
        event.canary = self._is_canary(event)
        if event.canary:
            return truncated(event)
        if event.kind not in (applied.detect if applied else DEFAULT_DETECT) and event.outcome != "blocked":
            return None
        event.decision = self._decide(event, applied)
        if event.outcome == "blocked" and not _blocks(event.decision) and self._before is not None:
            # Stopped by the policy before this one, moments ago.
            before = self._decide(event, self._before)
            event.decision = before if _blocks(before) else event.decision
        self._settle(event, applied)
        process = event.process
        process.argv = self._masker.mask(process.argv, truncated=process.argv_truncated)
        return truncated(event)

    def _decide(self, event: wire.Event, applied: AppliedPolicy | None) -> wire.Decision | None:
        """None before the first policy: the portal decides then."""
        number = applied.number if applied else None
        if event.identity == "incomplete":
            return wire.Decision("alert", None, "identity_incomplete", number)
        if applied is None:
            return None
        decision = applied.policy.decide(wire.flatten(event, *self._place))
        return wire.Decision(decision.action, decision.rule, decision.reason, number)

    def _settle(self, event: wire.Event, applied: AppliedPolicy | None) -> None:
        """The outcome: of what ran though a rule blocks it, with the reason."""
        if event.outcome == "blocked":
            return
        reason = self._why_it_ran(event, applied) if applied and event.decision else ""
        event.outcome, event.outcome_reason = ("not_blocked" if reason else "none"), reason

    def _why_it_ran(self, event: wire.Event, applied: AppliedPolicy) -> str:
        """The reasons of docs/blocking.md, "" where no rule blocks it."""
        if event.decision is None or not _blocks(event.decision):
            return ""
        if not applied.policy.names_kind(event.decision.rule, event.kind):
            return "kind_not_named"
        if event.kind in NEVER_BLOCKED:
            return "not_supported"
        if self._why_not_blocking():
            return self._why_not_blocking()
        if event.outcome_reason:
            return event.outcome_reason
        return "hash_decides" if event.kind == "fileless" else "not_held"

    def _is_folded(self, event: wire.Event) -> bool:
        """Whether the event is only counted."""
        if event.canary:
            return False
        if event.event_id in self._folds.spooled:
            return False
        if event.identity == "incomplete":
            return not self._is_first_incomplete()
        if event.decision and event.decision.action == "ignore":
            return True
        return not self._limits.allow(event)

    def _is_first_incomplete(self) -> bool:
        now = time.monotonic()
        if now < self._incomplete_until:
            return False
        self._incomplete_until = now + INCOMPLETE_EVERY
        return True

    def flush(self, *, now: bool = False) -> None:
        """Spool the summaries that are due; with `now`, of the open window too."""
        self._folds.close_due(now=now)
        for window in list(self._folds.closed):
            while window.sent < len(window.entries):
                if not self._spool_some(window):
                    return  # the spool is full: counts wait here, nothing of them is lost
            self._folds.drop(window)

    def _spool_some(self, window: AggregationWindow) -> bool:
        """Spool the next summaries of a window; False where not all of them found room.

        The spool is asked first: while it is full, each read comes by here, and summaries are dear to make.
        """
        if not self._spool.has_room(window.next_bytes):
            return False
        some = window.summaries(SUMMARIES)
        stored = self._spool.append([msgspec.json.encode(event) for event in some])
        window.sent += stored
        return stored == len(some)

    def _store(self, events: Sequence[wire.Event]) -> None:
        stored = self._spool.append([msgspec.json.encode(event) for event in events])
        self._count_lost(sum(event.count for event in events[stored:]))

    def _count_lost(self, execs: int) -> None:
        if execs:
            self.lost["spool_full"] += execs


class EventRateLimits:
    """How much was let through in the present minute, of each fingerprint (DESIGN §4) and of each container."""

    def __init__(self, alike: int, container: int) -> None:
        """Events a minute."""
        self._alike, self._container = alike, container
        self._seen: Counter[bytes] = Counter()
        self._minute_ends = 0.0

    def allow(self, event: wire.Event) -> bool:
        """Whether this one goes out as it is. Alerts and blocks of one binary are apart from each other."""
        now = time.monotonic()
        if now >= self._minute_ends:
            self._seen.clear()
            self._minute_ends = now + 60.0
        container = event.container.id.encode()
        return self._take(_fingerprint(event), self._alike) and self._take(container, self._container)

    def _take(self, key: bytes, most: int) -> bool:
        self._seen[key] += self._seen[key] < most + 1
        return self._seen[key] <= most


def _fingerprint(event: wire.Event) -> bytes:
    container, process = event.container, event.process
    action = event.decision.action if event.decision else None
    facts = [container.namespace, container.owner, container.name, process.path, process.sha256, action]
    return hashlib.blake2b(msgspec.json.encode(facts), digest_size=16).digest()


def _blocks(decision: wire.Decision | None) -> bool:
    return decision is not None and decision.action == "block"
