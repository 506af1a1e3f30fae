"""The suppression rules that apply while a batch is stored."""

from __future__ import annotations

from functools import cached_property

from django.db.models import Q
from django.utils import timezone

from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.event_groups import EventGroup
from drift.alerts.domain.suppression_match import Suppression, compile_suppression
from drift.alerts.models import SuppressedContent, SuppressionRule


class ActiveSuppressions:
    """The enabled, unexpired rules. Read once a batch, and only when an alert would open: most batches open none."""

    def __init__(self, source: BatchSource) -> None:
        self._source = source
        self._reviewed: dict[str, frozenset[int]] = {}

    @cached_property
    def _rules(self) -> dict[int, Suppression]:
        """The rules by id, oldest first."""
        unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        rows = SuppressionRule.objects.filter(unexpired, enabled=True).prefetch_related("environments").order_by("pk")
        return {
            row.pk: compile_suppression(
                row.pk,
                row.name,
                frozenset(each.pk for each in row.environments.all()),
                row.conditions,
                covers_new_content=row.covers_new_content,
            )
            for row in rows
        }

    def match(self, group: EventGroup) -> Suppression | None:
        """Return the rule that dismisses the alert of these events: None unless each of them has one."""
        first = self._first_match(group.first)
        return first if first and all(map(self._first_match, group.events)) else None

    def _first_match(self, enriched: EnrichedEvent) -> Suppression | None:
        """Return the oldest rule that suppresses this event. Unidentified containers are never suppressed."""
        if enriched.event.identity == "incomplete":
            return None
        return next((rule for rule in self._rules.values() if self._matches(rule, enriched)), None)

    def still_matches(self, rule_id: int, enriched: EnrichedEvent) -> bool:
        """Return whether the rule that suppressed an alert is still active and suppresses this event too."""
        rule = self._rules.get(rule_id)
        return rule is not None and self._matches(rule, enriched)

    def _matches(self, rule: Suppression, enriched: EnrichedEvent) -> bool:
        flat_event = self._source.flat_event(enriched.event)
        if not rule.matches(self._source.environment_id, flat_event, enriched.event.process.argv):
            return False
        return rule.covers_any_content or rule.id in self._rules_that_know(enriched.event.process.sha256)

    def _rules_that_know(self, sha256: str | None) -> frozenset[int]:
        """Return the rules whose authors reviewed this content; none where the file could not be hashed."""
        if not sha256:
            return frozenset()
        if sha256 not in self._reviewed:
            found = SuppressedContent.objects.filter(sha256=sha256, rule__in=list(self._rules))
            self._reviewed[sha256] = frozenset(found.values_list("rule_id", flat=True))
        return self._reviewed[sha256]
