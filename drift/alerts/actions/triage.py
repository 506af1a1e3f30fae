"""What reviewers do: decide, assign, comment. Two of them never overwrite each other silently.

Every change names the revision that its author saw. The alerts are locked in fingerprint order, as
ingest locks them, and nothing is changed unless every one of them is still as it was seen.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models.functions import Lower
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.alerts.actions import queue_notifications as announcing
from drift.alerts.errors import ChangeConflict, Invalid, no_nul
from drift.alerts.models import CLOSED, ActivityKind, Alert, AlertActivity, Resolution, Status, SuppressionRule
from drift.alerts.models.alerts import RESOLUTIONS

QUIET_DAYS: Final = 7
"""How long a dismissal keeps like events from opening a new alert, unless its author says otherwise."""
MAX_BULK: Final = 1_000
MAX_COMMENT: Final = 10_000
MENTION: Final = re.compile(r"(?<!\S)@([\w.+-]+@[\w.-]+)")
Revisions = Mapping[int, int]
"""Alert id → the revision that the author of a change saw."""


@dataclass(frozen=True)
class StatusChange:
    """A status with its reason. For a dismissal, how long like events stay quiet.

    `quiet_until` None: seven days, or without end where `until_spread` is set.
    """

    status: Status
    verdict: str = ""
    comment: str = ""
    quiet_until: dt.datetime | None = None
    until_spread: bool = False

    def check(self) -> None:
        """Raises Invalid with the field that does not fit."""
        if self.status in CLOSED and self.verdict not in RESOLUTIONS[self.status]:
            raise Invalid("Say why: choose one of the reasons.", "verdict")
        if self.verdict == Resolution.SUPPRESSED or (self.verdict and self.status not in CLOSED):
            raise Invalid("This reason does not go with this status.", "verdict")
        if self.quiet_until and self.quiet_until <= timezone.now():
            raise Invalid("The quiet period must end in the future.", "quiet_until")
        no_nul("comment", self.comment)
        if len(self.comment) > MAX_COMMENT:
            raise Invalid(f"A comment may take {MAX_COMMENT} characters.", "comment")

    def fields(self, now: dt.datetime) -> dict[str, Any]:
        """The alert's columns after it, but for `acknowledged_at`."""
        dismissed = self.status == Status.DISMISSED
        quiet = self.quiet_until or (None if self.until_spread else now + dt.timedelta(days=QUIET_DAYS))
        return {
            "status": self.status,
            "verdict": self.verdict,
            "closed_at": now if self.status in CLOSED else None,
            "quiet_until": quiet if dismissed else None,
            "until_spread": dismissed and self.until_spread,
            "suppressed_by": None,
        }


@transaction.atomic(durable=True)
def change_status(actor: User, seen: Revisions, decision: StatusChange) -> list[Alert]:
    """Give every alert in `seen` the status. Returns the alerts as they are now.

    Raises Invalid; Conflict where one was changed meanwhile, is gone, or cannot be open again because a
    newer alert of the same binary took its place: then none is changed.
    """
    decision.check()
    alerts = _lock(seen)
    now = timezone.now()
    fields = decision.fields(now)
    for alert in alerts:
        _check_reopening(alert, decision.status)
        acknowledged = alert.acknowledged_at or (now if decision.status != Status.ACTIVE else None)
        _apply(actor, alert, {**fields, "acknowledged_at": acknowledged}, now, decision.comment)
    return alerts


@transaction.atomic(durable=True)
def undo(actor: User, seen: Revisions) -> list[Alert]:
    """Put every alert in `seen` back to where it was before its last change of status, which was the actor's.

    Raises Conflict as `change_status` does, and where the last change was somebody else's.
    """
    alerts = _lock(seen)
    now = timezone.now()
    for alert in alerts:
        last = alert.activities.filter(kind=ActivityKind.STATUS).order_by("-id").first()
        if last is None or last.actor_id != actor.pk or last.before is None:
            raise ChangeConflict("There is no change of yours to undo.")
        _check_reopening(alert, Status(last.before["status"]))
        _apply(actor, alert, _restored(last.before), now, "")
    return alerts


@transaction.atomic(durable=True)
def assign(actor: User, seen: Revisions, assignee: User | None) -> list[Alert]:
    """Make the alerts somebody's, or nobody's. Raises Invalid (may not triage) and Conflict."""
    if assignee is not None and not assignee.can_triage:
        raise Invalid(f"{assignee.name} may not triage alerts.", "assignee")
    alerts = _lock(seen)
    for alert in alerts:
        before = alert.assignee
        alert.assignee = assignee
        _bump(alert, ["assignee"], timezone.now())
        was, now_is = ({"assignee": who.name if who else None} for who in (before, assignee))
        AlertActivity.objects.create(alert=alert, kind=ActivityKind.ASSIGNED, actor=actor, before=was, after=now_is)
        audit.record(actor, "assigned", "alert", alert.pk, name=alert.title, before=was, after=now_is)
    if assignee is not None and assignee != actor:
        announcing.assigned(actor, assignee, alerts)
    return alerts


@transaction.atomic(durable=True)
def comment(actor: User, alert: Alert, text: str) -> AlertActivity:
    """Add Markdown to the alert's timeline; `@` and an address mentions a user. Raises Invalid: none, or too much."""
    text = text.strip()
    if not text:
        raise Invalid("Write something first.", "text")
    no_nul("text", text)
    if len(text) > MAX_COMMENT:
        raise Invalid(f"A comment may take {MAX_COMMENT} characters.", "text")
    audit.record(actor, "commented on", "alert", alert.pk, name=alert.title)
    users = _mentioned(text)
    announcing.mentioned(actor, alert, users, text)
    after = {"mentions": users}
    return AlertActivity.objects.create(alert=alert, kind=ActivityKind.COMMENT, actor=actor, text=text, after=after)


def _mentioned(text: str) -> list[int]:
    """The users whose addresses the text names after an @."""
    addresses = {found.lower().rstrip(".") for found in MENTION.findall(text)}
    people = User.objects.annotate(address=Lower("email")).filter(address__in=addresses, is_active=True)
    return sorted(people.values_list("pk", flat=True))


def _lock(seen: Revisions) -> list[Alert]:
    """The alerts, locked, each still at the revision that was seen."""
    if not seen:
        raise Invalid("Choose at least one alert.", "alerts")
    if len(seen) > MAX_BULK:
        raise Invalid(f"At most {MAX_BULK} alerts can be changed at once.", "alerts")
    found = Alert.objects.select_for_update(of=("self",), no_key=True).select_related("assignee").filter(pk__in=seen)
    alerts = list(found.order_by("fingerprint", "id"))
    changed = [alert for alert in alerts if alert.revision != seen[alert.pk]]
    if changed or len(alerts) < len(seen):
        raise ChangeConflict(_who_changed(changed, len(seen) - len(alerts)))
    return alerts


def _who_changed(changed: Iterable[Alert], gone: int) -> str:
    """What the second of two reviewers is told."""
    words = []
    for alert in list(changed)[:3]:
        last = alert.activities.select_related("actor").order_by("-id").first()
        who = last.actor.name if last and last.actor else "Driftwatch"
        words.append(f"{who} changed alert {alert.pk}, which is now {alert.get_status_display()}")
    if gone:
        words.append(f"{gone} of the alerts no longer exist")
    return f"Nothing was changed: {'; '.join(words)}. Look at it again, then decide."


def _check_reopening(alert: Alert, status: Status) -> None:
    if status not in CLOSED and not alert.current:
        raise ChangeConflict(f"Alert {alert.pk} cannot be open again: a newer alert of the same binary took its place.")


def _apply(actor: User, alert: Alert, fields: Mapping[str, Any], now: dt.datetime, text: str) -> None:
    before = _state(alert)
    for name, value in fields.items():
        setattr(alert, name, value)
    _bump(alert, list(fields), now)
    after = _state(alert)
    AlertActivity.objects.create(
        alert=alert, kind=ActivityKind.STATUS, actor=actor, before=before, after=after, text=text
    )
    audit.record(actor, _verb(alert), "alert", alert.pk, name=alert.title, before=before, after=after)


def _verb(alert: Alert) -> str:
    return {Status.RESOLVED: "resolved", Status.DISMISSED: "dismissed"}.get(Status(alert.status), "reopened")


def _bump(alert: Alert, fields: list[str], now: dt.datetime) -> None:
    alert.revision += 1
    alert.changed_at = now
    alert.save(update_fields=[*fields, "revision", "changed_at"])


TIMES: Final = ("closed_at", "acknowledged_at", "quiet_until")


def _state(alert: Alert) -> dict[str, Any]:
    """What a change of status changes, as JSON; `_restored` reads it."""
    times = {name: value.isoformat() if (value := getattr(alert, name)) else None for name in TIMES}
    kept = {"status": alert.status, "verdict": alert.verdict, "until_spread": alert.until_spread}
    return {**kept, **times, "suppressed_by": alert.suppressed_by_id}


def _restored(state: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: dt.datetime.fromisoformat(state[name]) if state[name] else None for name in TIMES}
    kept = {name: state[name] for name in ("status", "verdict", "until_spread")}
    return {**kept, **times, "suppressed_by": SuppressionRule.objects.filter(pk=state["suppressed_by"]).first()}
