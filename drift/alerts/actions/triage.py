"""What reviewers do: change the status of alerts, assign them, comment.

No reviewer overwrites another unnoticed: every change names the revisions that its author saw. Alerts are locked in
fingerprint order, as ingest locks them, and nothing is changed unless each is still at its revision.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.alerts.actions.queue_notifications import notify_assignee, notify_mentioned
from drift.alerts.actions.score_alerts import queue_contents, queue_ways
from drift.alerts.errors import AlertsChanged, ChangeConflict, ChangedAlert, Invalid, check_plain
from drift.alerts.models import CLOSED, ActivityKind, Alert, AlertActivity, Resolution, Status, SuppressionRule
from drift.alerts.models.alerts import RESOLUTIONS
from drift.alerts.queries.activities import last_activities
from drift.alerts.queries.colleagues import mentioned_users, unseen_by

SNOOZE_DAYS: Final = 7
"""How long a dismissal keeps similar events from opening a new alert, unless its author chooses otherwise."""
MAX_BULK: Final = 1_000
MAX_COMMENT: Final = 10_000
MAX_NAMED: Final = 3
"""Changed alerts that a conflict's message names."""
MENTION: Final = re.compile(r"(?<!\S)@([\w.+-]+@[\w.-]+)")
TIMES: Final = ("closed_at", "acknowledged_at", "quiet_until")
VERBS: Final = {Status.RESOLVED: "resolved", Status.DISMISSED: "dismissed"}
Revisions = Mapping[int, int]
"""Alert id → the revision that the author of a change saw."""


@dataclass(frozen=True)
class StatusChange:
    """A new status, with the resolution of a closed one, and the snooze of a dismissed one.

    The snooze ends at `quiet_until`; without it after SNOOZE_DAYS, or with `until_spread` when the binary appears in
    another workload.
    """

    status: Status
    resolution: str = ""
    comment: str = ""
    quiet_until: dt.datetime | None = None
    until_spread: bool = False

    def check(self) -> None:
        """Raise Invalid with the field that is not valid."""
        if self.status in CLOSED and self.resolution not in RESOLUTIONS[self.status]:
            raise Invalid("Choose a resolution.", "verdict")
        if self.resolution == Resolution.SUPPRESSED or (self.resolution and self.status not in CLOSED):
            raise Invalid("This resolution is not valid for this status.", "verdict")
        if self.quiet_until and self.quiet_until <= timezone.now():
            raise Invalid("The snooze must end in the future.", "quiet_until")
        check_plain("comment", self.comment, several_lines=True)
        if len(self.comment) > MAX_COMMENT:
            raise Invalid(f"A comment can have up to {MAX_COMMENT:,} characters.", "comment")

    def columns(self, now: dt.datetime) -> dict[str, Any]:
        """Return the alert's columns after the change, without `acknowledged_at`."""
        is_dismissed = self.status == Status.DISMISSED
        snooze_end = self.quiet_until or (None if self.until_spread else now + dt.timedelta(days=SNOOZE_DAYS))
        return {
            "status": self.status,
            "verdict": self.resolution,
            "closed_at": now if self.status in CLOSED else None,
            "quiet_until": snooze_end if is_dismissed else None,
            "until_spread": is_dismissed and self.until_spread,
            "suppressed_by": None,
        }


@transaction.atomic(durable=True)
def change_status(actor: User, seen: Revisions, change: StatusChange) -> list[Alert]:
    """Change the status of every alert in `seen`, and return the alerts as they are now.

    Raises Invalid; ChangeConflict where one was changed since, is gone, or cannot be reopened because a newer alert
    took its place: then none is changed.
    """
    change.check()
    alerts = _lock(actor, seen)
    now = timezone.now()
    columns = change.columns(now)
    for alert in alerts:
        _check_can_reopen(alert, change.status)
        acknowledged = alert.acknowledged_at or (now if change.status != Status.ACTIVE else None)
        _apply(actor, alert, {**columns, "acknowledged_at": acknowledged}, now, change.comment)
    queue_contents(alert.binary.sha256 for alert in alerts)
    queue_ways(alert.habit for alert in alerts)
    return alerts


@transaction.atomic(durable=True)
def undo(actor: User, seen: Revisions) -> list[Alert]:
    """Restore every alert in `seen` to what it was before its last change of status, which was the actor's.

    Raises ChangeConflict as `change_status` does, and where the last change was someone else's.
    """
    alerts = _lock(actor, seen)
    now = timezone.now()
    for alert in alerts:
        last = alert.activities.filter(kind=ActivityKind.STATUS).order_by("-id").first()
        if last is None or last.actor_id != actor.pk or last.before is None:
            raise ChangeConflict("You have no change to undo.")
        _check_can_reopen(alert, Status(last.before["status"]))
        _apply(actor, alert, _restored(last.before), now, "")
    queue_contents(alert.binary.sha256 for alert in alerts)
    queue_ways(alert.habit for alert in alerts)
    return alerts


@transaction.atomic(durable=True)
def assign(actor: User, seen: Revisions, assignee: User | None) -> list[Alert]:
    """Assign the alerts to a user, or unassign them.

    Raises Invalid where the user may not triage or does not see one of them, and ChangeConflict.
    """
    if assignee is not None and not assignee.can_triage:
        raise Invalid(f"{assignee.name} is not allowed to triage alerts.", "assignee")
    alerts = _lock(actor, seen)
    if assignee is not None and (unseen := unseen_by(assignee, alerts)):
        raise Invalid(_unseen_message(assignee, unseen), "assignee")
    for alert in alerts:
        before = {"assignee": alert.assignee.name if alert.assignee else None}
        after = {"assignee": assignee.name if assignee else None}
        alert.assignee = assignee
        _save(alert, ["assignee"], timezone.now())
        AlertActivity.objects.create(alert=alert, kind=ActivityKind.ASSIGNED, actor=actor, before=before, after=after)
        audit.record(actor, "assigned", "alert", alert.pk, name=alert.title, before=before, after=after)
    if assignee is not None and assignee != actor:
        notify_assignee(actor, assignee, alerts)
    return alerts


def _unseen_message(assignee: User, unseen: list[int]) -> str:
    named = ", ".join(map(str, unseen[:MAX_NAMED])) + (", …" if len(unseen) > MAX_NAMED else "")
    which = f"alert {named}, which is" if len(unseen) == 1 else f"alerts {named}, which are"
    return f"Nothing was changed: {assignee.name} cannot see {which} outside their scope."


@transaction.atomic(durable=True)
def comment(actor: User, alert: Alert, text: str) -> tuple[AlertActivity, list[str]]:
    """Add Markdown to the alert's timeline; `@` and an address mentions a user.

    Returns the comment, and the addresses that mention nobody who sees the alert: they are not notified. Raises
    Invalid: empty, or too long.
    """
    text = text.strip()
    if not text:
        raise Invalid("Enter a comment.", "text")
    check_plain("text", text, several_lines=True)
    if len(text) > MAX_COMMENT:
        raise Invalid(f"A comment can have up to {MAX_COMMENT:,} characters.", "text")
    audit.record(actor, "commented on", "alert", alert.pk, name=alert.title)
    addresses = {found.lower().rstrip(".") for found in MENTION.findall(text)}
    mentioned, unknown = mentioned_users(addresses, alert)
    notify_mentioned(actor, alert, mentioned, text)
    after = {"mentions": [user.pk for user in mentioned]}
    added = AlertActivity.objects.create(alert=alert, kind=ActivityKind.COMMENT, actor=actor, text=text, after=after)
    return added, unknown


def _lock(actor: User, seen: Revisions) -> list[Alert]:
    """Lock and return the alerts, each still at the revision that was seen.

    One that the actor does not see does not exist for them.
    """
    if not seen:
        raise Invalid("Choose at least one alert.", "alerts")
    if len(seen) > MAX_BULK:
        raise Invalid(f"You can change up to {MAX_BULK:,} alerts at once.", "alerts")
    found = Alert.objects.visible_to(actor).filter(pk__in=seen).select_related("assignee", "binary")
    alerts = list(found.select_for_update(of=("self",), no_key=True).order_by("fingerprint", "id"))
    changed = [alert for alert in alerts if alert.revision != seen[alert.pk]]
    if changed or len(alerts) < len(seen):
        missing = set(seen) - {alert.pk for alert in alerts}
        last_changes = _last_changes(actor, changed)
        raise AlertsChanged(_conflict_message(last_changes, len(missing)), last_changes, missing)
    return alerts


def _last_changes(actor: User, alerts: list[Alert]) -> list[ChangedAlert]:
    """Return how the alerts are now, each with what was done to it last; a comment changes no alert."""
    changes = AlertActivity.objects.visible_to(actor).exclude(kind=ActivityKind.COMMENT)
    latest = last_activities(changes, [alert.pk for alert in alerts])
    return [_changed(alert, latest.get(alert.pk)) for alert in alerts]


def _changed(alert: Alert, last: AlertActivity | None) -> ChangedAlert:
    return ChangedAlert(
        pk=alert.pk,
        revision=alert.revision,
        path=alert.path,
        status=alert.get_status_display(),
        resolution=alert.get_verdict_display(),
        actor=last.actor.name if last and last.actor else "Driftwatch",
        what=last.get_kind_display() if last else "changed the alert",
        at=last.at if last else None,
        comment=last.text if last else "",
    )


def _conflict_message(changed: list[ChangedAlert], missing: int) -> str:
    """Return the conflict's message: who changed which alerts."""
    parts = [f"{each.actor} changed alert {each.pk}, which is now {each.status}" for each in changed[:MAX_NAMED]]
    if len(changed) > MAX_NAMED:
        parts.append(f"{len(changed) - MAX_NAMED} more were changed")
    if missing:
        parts.append(f"{missing} of the alerts no longer exist")
    return f"Nothing was changed: {'; '.join(parts)}. Review and try again."


def _check_can_reopen(alert: Alert, status: Status) -> None:
    # Two open alerts of one fingerprint would both claim its next event.
    if status not in CLOSED and not alert.current:
        raise ChangeConflict(f"Alert {alert.pk} cannot be reopened: a newer alert for the same binary replaced it.")


def _apply(actor: User, alert: Alert, columns: Mapping[str, Any], now: dt.datetime, text: str) -> None:
    before = _status_columns(alert)
    for name, value in columns.items():
        setattr(alert, name, value)
    _save(alert, list(columns), now)
    after = _status_columns(alert)
    AlertActivity.objects.create(
        alert=alert, kind=ActivityKind.STATUS, actor=actor, before=before, after=after, text=text
    )
    verb = VERBS.get(Status(alert.status), "reopened")
    audit.record(actor, verb, "alert", alert.pk, name=alert.title, before=before, after=after)


def _save(alert: Alert, columns: list[str], now: dt.datetime) -> None:
    alert.revision += 1
    alert.changed_at = now
    alert.save(update_fields=[*columns, "revision", "changed_at"])


def _status_columns(alert: Alert) -> dict[str, Any]:
    """Return what a change of status changes, as JSON for the timeline; `_restored` reads it."""
    times = {name: value.isoformat() if (value := getattr(alert, name)) else None for name in TIMES}
    kept = {"status": alert.status, "verdict": alert.verdict, "until_spread": alert.until_spread}
    return {**kept, **times, "suppressed_by": alert.suppressed_by_id}


def _restored(before: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: dt.datetime.fromisoformat(before[name]) if before[name] else None for name in TIMES}
    kept = {name: before[name] for name in ("status", "verdict", "until_spread")}
    # The rule may have been deleted since; the alert then stays dismissed without one.
    return {**kept, **times, "suppressed_by": SuppressionRule.objects.filter(pk=before["suppressed_by"]).first()}
