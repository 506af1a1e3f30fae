"""How often each policy rule decided in the last days, and when it last did."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db.models import Max, Q, QuerySet, Sum
from django.utils import timezone

from accounts.models import User
from drift.alerts.models import ClusterRuleHits, RuleHits
from sensor.policy import DEFAULT_RULE

DAYS: Final = 7
"""UTC days, including today."""


@dataclass(frozen=True)
class Hits:
    """A rule's execs in the last DAYS, and when it last decided one within a year."""

    execs: int
    last_at: dt.datetime


def first_day(now: dt.datetime | None = None) -> dt.date:
    """Return the first of the last DAYS."""
    return (now or timezone.now()).date() - dt.timedelta(days=DAYS - 1)


def stored_days() -> int:
    """Return of how many of the last DAYS events are stored; EVENT_RETENTION_DAYS may be fewer."""
    return min(DAYS, settings.EVENT_RETENTION_DAYS)


def are_hits_known(user: User) -> bool:
    """Return whether hits are counted for just what the user sees: not for single namespaces."""
    return user.scope.is_of_whole_clusters


def visible_hits(user: User) -> QuerySet[Any, Any]:
    """Return the hits in the user's scope; none where `are_hits_known` is False."""
    if not are_hits_known(user):
        return ClusterRuleHits.objects.none()
    model = RuleHits if user.sees_whole_estate else ClusterRuleHits
    rows: QuerySet[Any, Any] = model.objects.visible_to(user)
    return rows


def hits_by_rule(user: User, rules: Collection[str]) -> dict[str, Hits]:
    """Return the hits by rule, for these ids (or "default"); a rule that never decided is missing. One query."""
    lately = Sum("execs", filter=Q(day__gte=first_day()), default=0)
    found = visible_hits(user).filter(rule__in=rules)
    rows = found.values("rule").annotate(lately=lately, last=Max("last_at"))
    return {row["rule"]: Hits(int(row["lately"]), row["last"]) for row in rows}


def ignored_by_default(user: User) -> int:
    """Return how many execs of the last DAYS the default rule ignored."""
    rows = visible_hits(user).filter(day__gte=first_day(), rule=DEFAULT_RULE, action="ignore")
    return int(rows.aggregate(execs=Sum("execs", default=0))["execs"])
