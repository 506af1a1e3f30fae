"""Suppression rules: made, changed and removed by Operators; asked whenever an alert would open."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.alerts.domain.suppression_match import Conditions, Suppression, faults, suppression
from drift.alerts.errors import ChangeConflict, Invalid, no_nul
from drift.alerts.models import Alert, SuppressionRule
from drift.fleet.models import Environment
from sensor import wire

REASONS: Final = {
    "false_positive": "False positive",
    "expected": "Expected behaviour",
    "accepted_risk": "Accepted risk",
    "other": "Other",
}
SIMULATED: Final = dt.timedelta(days=30)
MAX_SIMULATED: Final = 10_000
"""Alerts that a simulation looks at, newest first."""
EXAMPLES: Final = 5


@dataclass(frozen=True)
class SuppressionDraft:
    """A rule as the panel has it."""

    name: str
    conditions: Conditions
    environments: Sequence[int] = ()
    enabled: bool = True
    reason: str = "expected"
    comment: str = ""
    expires_at: dt.datetime | None = None

    def check(self) -> None:
        """Raises Invalid with the field that is wrong."""
        no_nul("name", self.name)
        no_nul("comment", self.comment)
        if not 1 <= len(self.name) <= 128:
            raise Invalid("Give the rule a name of 1 to 128 characters.", "name")
        if self.reason not in REASONS:
            raise Invalid("Choose a reason.", "reason")
        if self.expires_at and self.expires_at <= timezone.now():
            raise Invalid("The rule must expire in the future.", "expires_at")
        for fault in faults(self.conditions):
            raise Invalid(fault, "conditions")


@dataclass
class Simulation:
    """What a rule would have done in the last 30 days."""

    looked_at: int = 0
    dismissed: int = 0
    examples: list[Alert] = field(default_factory=list)


def save(actor: User, draft: SuppressionDraft, pk: int | None = None, revision: int | None = None) -> SuppressionRule:
    """Make a rule, or change the one that is `pk` and still at `revision`. Raises Invalid and Conflict."""
    draft.check()
    try:
        return _save(actor, draft, pk, revision)
    except IntegrityError:
        raise Invalid("Another suppression rule has this name.", "name") from None


@transaction.atomic(durable=True)
def _save(actor: User, draft: SuppressionDraft, pk: int | None, revision: int | None) -> SuppressionRule:
    fields = {
        "name": draft.name,
        "conditions": list(draft.conditions),
        "enabled": draft.enabled,
        "reason": draft.reason,
        "comment": draft.comment[:1_000],
        "expires_at": draft.expires_at,
    }
    before = None
    if pk is None:
        rule = SuppressionRule.objects.create(created_by=actor, **fields)
    else:
        rule = _locked(pk, revision)
        before = as_json(rule)
        SuppressionRule.objects.filter(pk=pk).update(revision=F("revision") + 1, **fields)
        rule.refresh_from_db()
    rule.environments.set(Environment.objects.filter(pk__in=draft.environments))
    verb = "changed" if before else "created"
    audit.record(actor, verb, "suppression rule", rule.pk, name=rule.name, before=before, after=as_json(rule))
    return rule


@transaction.atomic(durable=True)
def delete(actor: User, pk: int, revision: int) -> None:
    """Remove a rule. What it dismissed stays dismissed. Raises Conflict."""
    rule = _locked(pk, revision)
    audit.record(actor, "deleted", "suppression rule", rule.pk, name=rule.name, before=as_json(rule))
    rule.delete()


def _locked(pk: int, revision: int | None) -> SuppressionRule:
    found = SuppressionRule.objects.select_for_update().filter(pk=pk, revision=revision)
    rule: SuppressionRule | None = found.first()
    if rule is None:
        raise ChangeConflict("Somebody else changed this rule, or removed it. Look at it again.")
    return rule


def as_json(rule: SuppressionRule) -> dict[str, Any]:
    """The rule for the audit log."""
    return {
        "name": rule.name,
        "enabled": rule.enabled,
        "environments": [str(each) for each in rule.environments.all()],
        "conditions": rule.conditions,
        "reason": rule.reason,
        "expires_at": rule.expires_at.isoformat() if rule.expires_at else None,
    }


def active(now: dt.datetime | None = None) -> list[Suppression]:
    """The rules that hold now, oldest first: the first that matches is the one that dismisses."""
    unexpired = Q(expires_at=None) | Q(expires_at__gt=now or timezone.now())
    rules = SuppressionRule.objects.filter(unexpired, enabled=True).prefetch_related("environments").order_by("pk")
    return [
        suppression(rule.pk, rule.name, frozenset(each.pk for each in rule.environments.all()), rule.conditions)
        for rule in rules
    ]


def count_hits(ids: Sequence[int]) -> None:
    """One more alert dismissed by each of the rules, in their order."""
    for pk in sorted(set(ids)):
        SuppressionRule.objects.filter(pk=pk).update(hits=F("hits") + ids.count(pk))


def simulate(user: User, draft: SuppressionDraft) -> Simulation:
    """What the rule would have dismissed of the last 30 days' alerts, with examples. Raises Invalid."""
    for fault in faults(draft.conditions):
        raise Invalid(fault, "conditions")
    rule = suppression(0, draft.name, frozenset(draft.environments), draft.conditions)
    since = timezone.now() - SIMULATED
    alerts = Alert.objects.visible_to(user).filter(created_at__gte=since, sample=False)
    alerts = alerts.select_related("detail", "cluster", "pulse").order_by("-pk")[:MAX_SIMULATED]
    found = Simulation()
    for alert in alerts.iterator(500):
        found.looked_at += 1
        if _would_match(rule, alert):
            found.dismissed += 1
            found.examples += [alert] if len(found.examples) < EXAMPLES else []
    return found


def _would_match(rule: Suppression, alert: Alert) -> bool:
    stored = alert.detail.event
    event = msgspec.convert(stored, wire.Event)
    facts = wire.flatten(event, stored["provider"], stored["account"], stored["cluster_name"])
    return rule.matches(alert.cluster.environment_id, facts, event.process.argv)
