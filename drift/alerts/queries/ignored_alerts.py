"""The open alerts that a policy change would ignore."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from drift.alerts.models import Alert, Resolution
from drift.alerts.models.alerts import FLOODS, IS_OPEN
from drift.alerts.queries.compiled_policies import UNIDENTIFIED, compiled_version
from sensor.policy import Policy, compile_policy
from sensor.policy.flat_event import ALERT_ROWS

MAX_EVALUATED: Final = 10_000
"""Open alerts that are evaluated, the newest."""
EXAMPLES: Final = 5
PERIOD: Final = dt.timedelta(days=30)
"""How long ago an attack may have been that a rule is compared with."""
Facts = Mapping[str, Any]


@dataclass
class IgnoredAlerts:
    """Open alerts that would be ignored, as id → revision, newest first, out of `evaluated` open alerts."""

    revisions: dict[int, int] = field(default_factory=dict)
    evaluated: int = 0

    @property
    def count(self) -> int:
        return len(self.revisions)

    @property
    def is_partial(self) -> bool:
        """Whether there may be more open alerts than were evaluated."""
        return self.evaluated == MAX_EVALUATED

    def examples(self, user: User) -> list[Alert]:
        """Return a few of them, newest first."""
        rows = Alert.objects.visible_to(user).filter(pk__in=list(self.revisions)[:EXAMPLES])
        return list(rows.select_related("cluster").order_by("-first_seen", "-pk"))


def newly_ignored_alerts(
    user: User, number: int, document: Mapping[str, Any], rule: str | None = None
) -> IgnoredAlerts:
    """Return the open alerts that version `number` does not ignore and `document` does; with `rule`, by that rule."""
    before, after = compiled_version(number).policy, compile_policy(document)
    found = IgnoredAlerts()
    for pk, revision, facts in _alerts(user, IS_OPEN):
        found.evaluated += 1
        if _is_newly_ignored(before, after, facts, rule):
            found.revisions[pk] = revision
    return found


def ignored_true_positives(user: User, document: Mapping[str, Any], rule: str) -> list[int]:
    """Return the alerts of the last PERIOD that reviewers found to be attacks, and that this rule would ignore."""
    compiled = compile_policy(document)
    attacks = Q(verdict=Resolution.TRUE_POSITIVE, created_at__gte=timezone.now() - PERIOD)
    decisions = ((pk, compiled.decide(facts)) for pk, _, facts in _alerts(user, attacks))
    return [pk for pk, decision in decisions if decision.action == "ignore" and decision.rule == rule]


def _is_newly_ignored(before: Policy, after: Policy, facts: Facts, rule: str | None) -> bool:
    decision = after.decide(facts)
    if decision.action != "ignore" or rule not in (None, decision.rule):
        return False
    return before.decide(facts).action != "ignore"


def _alerts(user: User, which: Q) -> Iterator[tuple[int, int, Facts]]:
    """Yield id, revision and the facts that a policy matches, as they were when the alert began; newest first."""
    alerts = Alert.objects.visible_to(user).filter(which, sample=False).exclude(reason__in=[UNIDENTIFIED, *FLOODS])
    rows = alerts.order_by("-first_seen", "-pk").values_list("pk", "revision", *ALERT_ROWS.columns)[:MAX_EVALUATED]
    for pk, revision, *values in rows.iterator(2_000):
        yield pk, revision, ALERT_ROWS.facts(values)
