"""Letting those who asked know: of new alerts, and people of what is theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.urls import reverse

from accounts.models import User
from drift.alerts.models import Alert, Status
from drift.notify.actions import notices
from drift.notify.models import Kind, PendingNotice


def announce(alerts: Iterable[Alert]) -> None:
    """Tell of those among new alerts that are open: one line an incident, in the alerts' transaction."""
    groups: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        if alert.status == Status.ACTIVE:
            groups[f"incident {alert.incident_id}" if alert.incident_id else f"alert {alert.fingerprint}"].append(alert)
    notices.notify_subscribers(Kind.ALERTS, [_pending(key, group) for key, group in groups.items()])


def _pending(key: str, group: list[Alert]) -> PendingNotice:
    first = group[0]
    where = "/".join(filter(None, (first.cluster.name, first.namespace, first.pod_name)))
    path = reverse("alerts:detail", args=[first.pk])
    return PendingNotice(key=key, title=f"{first.title}: {first.path[:80]} on {where}", count=len(group), path=path)


def assigned(actor: User, assignee: User, alerts: list[Alert]) -> None:
    """Tell a colleague whom alerts were given to, of all of them at once."""
    one = alerts[0] if len(alerts) == 1 else None
    title = f"{actor.name} gave you alert {one.pk}" if one else f"{actor.name} gave you {len(alerts):,} alerts"
    path = reverse("alerts:detail", args=[one.pk]) if one else f"{reverse('alerts:list')}?assignee=me"
    notices.notify_user(assignee, Kind.ASSIGNED, title, alerts[0].title, path)


def mentioned(actor: User, alert: Alert, users: Iterable[int], text: str) -> None:
    """Tell whom a comment mentions, but for its author."""
    title = f"{actor.name} mentioned you on alert {alert.pk}"
    path = reverse("alerts:detail", args=[alert.pk]) + "?tab=timeline"
    for user in User.objects.filter(pk__in=users).exclude(pk=actor.pk).order_by("pk"):
        notices.notify_user(user, Kind.MENTION, title, text[:1_000], path)
