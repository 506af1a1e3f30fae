"""The suppression rules as one batch asks them: read once, and only if an alert would open."""

from __future__ import annotations

from functools import cached_property

from drift.alerts.actions.suppression_rules import active
from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.suppression_match import Suppression


class ActiveSuppressions:
    """The rules that hold while a batch is stored; with `none`, no rule does."""

    def __init__(self, source: BatchSource, *, none: bool = False) -> None:
        self._source = source
        self._none = none

    @cached_property
    def _active(self) -> dict[int, Suppression]:
        return {} if self._none else {rule.id: rule for rule in active()}

    def matching(self, seen: EnrichedEvent) -> Suppression | None:
        """The oldest rule that dismisses this event's alert. What could not be identified is never suppressed."""
        if seen.event.identity == "incomplete" or not self._active:
            return None
        return next((rule for rule in self._active.values() if self._matches(rule, seen)), None)

    def still(self, rule_id: int, seen: EnrichedEvent) -> bool:
        """Whether the rule that dismissed the alert would dismiss it for this event too."""
        rule = self._active.get(rule_id)
        return rule is not None and self._matches(rule, seen)

    def _matches(self, rule: Suppression, seen: EnrichedEvent) -> bool:
        facts = self._source.facts(seen.event)
        return rule.matches(self._source.environment_id, facts, seen.event.process.argv)
