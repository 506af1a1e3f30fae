"""The suppression rules that apply while a batch is stored."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from django.utils import timezone

from accounts.prepared_rows import prepared_rows
from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.event_groups import EventGroup
from drift.alerts.domain.suppression_match import Suppression, compile_suppression
from drift.alerts.models import HashVerdict, ListedHash, SuppressedContent

RULES: Final = """
SELECT id, name,
       ARRAY(SELECT environment_id FROM alerts_suppressionrule_environments WHERE suppressionrule_id = rule.id),
       conditions::text, covers_new_content, coalesce(reviewed_at, created_at)
FROM alerts_suppressionrule AS rule WHERE enabled AND (expires_at IS NULL OR expires_at > %s) ORDER BY id
"""
ATTACKS: Final = """
SELECT file.sha256, max(alert.closed_at)
FROM alerts_binary AS file JOIN alerts_alert AS alert ON alert.binary_id = file.id
WHERE file.sha256 = ANY(%s) AND alert.verdict = 'true_positive' AND alert.set_aside_at IS NULL AND NOT alert.sample
GROUP BY file.sha256
"""


class ActiveSuppressions:
    """The enabled, unexpired rules. Read once a batch, and only when an alert would open: most batches open none."""

    def __init__(self, source: BatchSource, events: Sequence[EnrichedEvent]) -> None:
        self._source = source
        self._events = events

    @cached_property
    def _rules(self) -> dict[int, tuple[Suppression, dt.datetime]]:
        """The rules by id, oldest first, each with the time of its last review."""
        return {
            pk: (
                compile_suppression(
                    pk, name, frozenset(environments), json.loads(conditions), covers_new_content=covers_new_content
                ),
                reviewed_at,
            )
            for pk, name, environments, conditions, covers_new_content, reviewed_at in prepared_rows(
                RULES, [timezone.now()]
            )
        }

    def match(self, group: EventGroup) -> Suppression | None:
        """Return the rule that dismisses the alert of these events: None unless each of them has one."""
        first = self._first_match(group.first)
        return first if first and all(map(self._first_match, group.events)) else None

    def _first_match(self, enriched: EnrichedEvent) -> Suppression | None:
        """Return the oldest rule that suppresses this event. Unidentified containers are never suppressed."""
        if enriched.event.identity == "incomplete":
            return None
        return next((rule for rule, at in self._rules.values() if self._matches(rule, at, enriched)), None)

    def still_matches(self, rule_id: int, enriched: EnrichedEvent) -> bool:
        """Return whether the rule that suppressed an alert is still active and suppresses this event too."""
        found = self._rules.get(rule_id)
        return found is not None and self._matches(*found, enriched)

    def _matches(self, rule: Suppression, reviewed_at: dt.datetime, enriched: EnrichedEvent) -> bool:
        flat_event = self._source.flat_event(enriched.event)
        if not rule.matches(self._source.environment_id, flat_event, enriched.event):
            return False
        sha256 = enriched.event.process.sha256
        if sha256 in self._known_bad:
            return False
        # What was found to be an attack before the review, its author has seen.
        if sha256 in self._attacks and self._attacks[sha256] >= reviewed_at:
            return False
        return rule.covers_any_content or (rule.id, sha256) in self._reviewed

    @cached_property
    def _contents(self) -> set[str]:
        return {each.event.process.sha256 for each in self._events if each.event.process.sha256}

    @cached_property
    def _known_bad(self) -> frozenset[str]:
        """The batch's contents that are on a list of known-bad files, which no rule dismisses."""
        listed = ListedHash.objects.filter(sha256__in=self._contents, hash_list__verdict=HashVerdict.BAD)
        return frozenset(listed.values_list("sha256", flat=True))

    @cached_property
    def _attacks(self) -> dict[str, dt.datetime]:
        """The batch's contents that reviewers found to be attacks, each with the latest time."""
        return dict(prepared_rows(ATTACKS, [sorted(self._contents)]))

    @cached_property
    def _reviewed(self) -> frozenset[tuple[int, str]]:
        """The batch's contents that authors of rules reviewed, each with the rule."""
        found = SuppressedContent.objects.filter(sha256__in=self._contents, rule__in=list(self._rules))
        return frozenset(found.values_list("rule_id", "sha256"))
