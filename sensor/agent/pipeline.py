"""From captured execs to the spool: filter, decide, mask, then aggregate or spool."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from sensor import wire
from sensor.agent.event_rate_limits import EventRateLimits
from sensor.agent.policy_in_force import AppliedPolicy, PolicyKeeper
from sensor.blocking.block_plan import workload_id
from sensor.blocking.kill_limit import KillLimit, killed_content
from sensor.delivery.aggregation import Aggregator
from sensor.delivery.aggregation_window import AggregationWindow
from sensor.delivery.spool import Spool
from sensor.delivery.truncation import truncated
from sensor.judgement.events import bounded_argv
from sensor.names.masking import Masker
from sensor.operations.state_directory import SensorIdentity
from sensor.policy import DEFAULT_DETECT
from sensor.policy.decisions import default_rule
from sensor.policy.drift_kinds import NEVER_BLOCKED

ALERTS_PER_MINUTE: Final = 60
"""Events of one fingerprint that are sent as they are, each minute; the rest is aggregated."""
CONTAINER_ALERTS_PER_MINUTE: Final = 600
"""The same for one container: one that runs ever new files must not drown out the others."""
SUMMARIES_PER_BATCH: Final = 500
"""Kinds that have no exec of their own to stop."""
INCOMPLETE_ALERT_SECONDS: Final = 3_600.0
"""Between two `identity_incomplete` alerts of this node: one an hour says that its runtime does not answer."""


class Pipeline:
    """Handles one batch after another. Once `handle` returns, the batch is on disk and the capture may commit it."""

    def __init__(
        self,
        identity: SensorIdentity,
        policies: PolicyKeeper,
        aggregator: Aggregator,
        spool: Spool,
        *,
        masker: Masker,
        alerts_per_minute: int = ALERTS_PER_MINUTE,
        container_alerts_per_minute: int = CONTAINER_ALERTS_PER_MINUTE,
        why_not_blocking: Callable[[], str] = lambda: "not_supported",
        is_canary: Callable[[wire.Event], bool] = lambda event: False,
        kill_limit: KillLimit | None = None,
        note_sent: Callable[[wire.Event], None] = lambda event: None,
    ) -> None:
        self._location = identity.provider, identity.account, identity.cluster_name
        self._policies, self._aggregator, self._spool, self._masker = policies, aggregator, spool, masker
        self._limits = EventRateLimits(alerts_per_minute, container_alerts_per_minute)
        self._why_not_blocking, self._is_canary = why_not_blocking, is_canary
        self._note_sent = note_sent
        self._kill_limit = KillLimit() if kill_limit is None else kill_limit
        self._latest: AppliedPolicy | None = None
        self._previous: AppliedPolicy | None = None
        self._next_incomplete_alert = 0.0
        self.lost: Counter[str] = Counter()
        """Execs lost, by cause."""

    def handle(self, events: Sequence[wire.Event]) -> None:
        """Decide and store a batch; each event is decided by one policy as a whole."""
        applied = self._policies.current
        if applied is not self._latest:
            self._previous, self._latest = self._latest, applied
        aggregated: list[wire.Event] = []
        sent: list[wire.Event] = []
        for event in events:
            if event.event_id in self._aggregator.counted:
                continue  # read again from the ring after a crash
            prepared = self._prepared(event, applied)
            if prepared:
                (aggregated if self._is_aggregated(prepared) else sent).append(prepared)
        if aggregated or sent:
            # The journal before the spool: after a crash between the two, an event named there is sent, not aggregated.
            self._count_lost(self._aggregator.record(aggregated, sent))
            stored = self._spool.append([wire.encode_event(event) for event in sent])
            self._count_lost(sum(event.count for event in sent[stored:]))
            for event in sent:
                self._note_sent(event)

    def _prepared(self, event: wire.Event, applied: AppliedPolicy | None) -> wire.Event | None:
        """Return the event as it is sent; None for a kind that the policy does not detect."""
        event.canary = self._is_canary(event)
        if event.canary:
            return truncated(event)
        if event.kind not in (applied.detect if applied else DEFAULT_DETECT) and event.outcome != "blocked":
            return None
        event.decision = self._decision(event, applied)
        if event.outcome == "blocked" and not _blocks(event.decision) and self._previous is not None:
            # The kernel stopped it moments ago, before a policy arrived that does not block it.
            previous = self._decision(event, self._previous)
            event.decision, applied = (previous, self._previous) if _blocks(previous) else (event.decision, applied)
        if event.outcome == "blocked" and applied is not None:
            self._note_kill(event, applied)
        if event.outcome != "blocked":
            reason = self._why_it_ran(event, applied) if applied and event.decision else ""
            event.outcome, event.outcome_reason = ("not_blocked" if reason else "none"), reason
        self._mask(event.process)
        return truncated(event)

    def _mask(self, process: wire.Process) -> None:
        """Mask the secrets of a process's command lines, and bound them anew: a mask may be longer than its secret."""
        masked = self._masker.mask(process.argv, truncated=process.argv_truncated)
        process.argv, is_cut = bounded_argv(masked)
        process.argv_truncated |= is_cut
        if entry := process.entry:
            masked = self._masker.mask(entry.argv, truncated=entry.argv_truncated)
            argv, is_cut = bounded_argv(masked, wire.MAX_ENTRY_ITEMS, wire.MAX_ENTRY_BYTES)
            process.entry = msgspec.structs.replace(entry, argv=argv, argv_truncated=entry.argv_truncated or is_cut)

    def _note_kill(self, event: wire.Event, applied: AppliedPolicy) -> None:
        """Count a stopped exec for the kill limit of the rule that decided it."""
        rule = _deciding_rule(event, applied)
        if rule is not None:
            self._kill_limit.note_kill(rule, workload_id(event.container), killed_content(event))

    def _decision(self, event: wire.Event, applied: AppliedPolicy | None) -> wire.EventDecision | None:
        """Return None before the first policy: the portal decides then."""
        number = applied.number if applied else None
        if event.identity == "incomplete":
            return wire.EventDecision("alert", None, "identity_incomplete", number)
        if applied is None:
            return None
        decision = applied.policy.decide(wire.flatten(event, *self._location))
        return wire.EventDecision(decision.action, decision.rule, decision.reason, number)

    def _why_it_ran(self, event: wire.Event, applied: AppliedPolicy) -> str:
        """Return the `outcome_reason` (docs/blocking.md#outcome-of-an-exec); "" where no rule blocks it."""
        if event.decision is None or not _blocks(event.decision):
            return ""
        if not applied.policy.may_block(event.decision.rule, event.kind):
            return "kind_not_named"
        if event.kind in NEVER_BLOCKED:
            return "not_supported"
        rule = _deciding_rule(event, applied)
        pause = "kill_limit" if rule is not None and self._kill_limit.is_paused(rule) else ""
        if reason := self._why_not_blocking() or pause or event.outcome_reason:
            return reason
        return "hash_decides" if event.kind == "fileless" else "not_held"

    def _is_aggregated(self, event: wire.Event) -> bool:
        """Return whether the event is only counted."""
        # An earlier process may have spooled it: aggregated now, it would count twice.
        if event.canary or event.event_id in self._aggregator.spooled:
            return False
        if event.identity == "incomplete":
            return not self._is_first_incomplete()
        if event.decision and event.decision.action == "ignore":
            return True
        return not self._limits.allow(event)

    def _is_first_incomplete(self) -> bool:
        now = time.monotonic()
        if now < self._next_incomplete_alert:
            return False
        self._next_incomplete_alert = now + INCOMPLETE_ALERT_SECONDS
        return True

    def flush(self, *, now: bool = False) -> None:
        """Spool the summaries of windows that have ended; with `now`, of the open window too."""
        self._aggregator.close_due(now=now)
        for window in list(self._aggregator.closed):
            while window.sent < len(window.aggregates):
                if not self._spool_summaries(window):
                    return  # the spool is full: the counts wait in their window, none is lost
            self._aggregator.drop(window)

    def _spool_summaries(self, window: AggregationWindow) -> bool:
        """Spool the next summaries of a window; returns whether all of them fitted."""
        # While the spool is full every read ends here, and making summaries is expensive: check for room first.
        if not self._spool.has_room(window.next_bytes):
            return False
        batch = window.summaries(SUMMARIES_PER_BATCH)
        stored = self._spool.append([wire.encode_event(event) for event in batch])
        window.sent += stored
        return stored == len(batch)

    def _count_lost(self, execs: int) -> None:
        if execs:
            self.lost["spool_full"] += execs


def _deciding_rule(event: wire.Event, applied: AppliedPolicy) -> dict[str, Any] | None:
    decided = event.decision.rule if event.decision is not None else None
    rules = (*applied.document["rules"], default_rule(applied.document))
    return next((rule for rule in rules if rule["id"] == decided), None)


def _blocks(decision: wire.EventDecision | None) -> bool:
    return decision is not None and decision.action == "block"
