"""Queue notifications for new alerts, assignments and mentions, in the transaction that causes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.urls import reverse

from accounts.models import User
from drift.alerts.models import Alert, Severity, Status
from drift.notify.actions.notices import notify_subscribers, notify_user
from drift.notify.models import Kind, PendingNotice


def notify_opened(cluster_name: str, alerts: Iterable[Alert]) -> None:
    """Notify subscribers of the open ones of severity High among new alerts of a cluster: one line per incident."""
    incidents: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        if alert.status == Status.ACTIVE and alert.severity == Severity.HIGH:
            key = f"incident {alert.incident_id}" if alert.incident_id else f"alert {alert.fingerprint}"
            incidents[key].append(alert)
    pending = []
    for key, group in incidents.items():
        first = group[0]
        origin = "/".join(filter(None, (cluster_name, first.namespace, first.pod_name)))
        title = f"{first.title}: {first.path[:80]} on {origin}"
        path = reverse("alerts:detail", args=[first.pk])
        pending.append(PendingNotice(key=key, title=title, count=len(group), path=path))
    notify_subscribers(Kind.ALERTS, pending)


def notify_assignee(actor: User, assignee: User, alerts: list[Alert]) -> None:
    """Notify a user of all the alerts that were assigned to them at once."""
    if len(alerts) == 1:
        title = f"{actor.name} assigned alert {alerts[0].pk} to you"
        path = reverse("alerts:detail", args=[alerts[0].pk])
    else:
        title = f"{actor.name} assigned {len(alerts):,} alerts to you"
        path = f"{reverse('alerts:list')}?assignee=me"
    places = [(alert.cluster_id, alert.namespace) for alert in alerts]
    notify_user(assignee, Kind.ASSIGNED, title, alerts[0].title, path, places=places)


def notify_mentioned(actor: User, alert: Alert, users: Iterable[User], comment: str) -> None:
    """Notify the users that a comment mentions, except its author."""
    title = f"{actor.name} mentioned you on alert {alert.pk}"
    path = reverse("alerts:detail", args=[alert.pk]) + "?tab=timeline"
    places = [(alert.cluster_id, alert.namespace)]
    for user in users:
        if user != actor:
            notify_user(user, Kind.MENTION, title, comment[:1_000], path, places=places)
