"""Queue notifications for new alerts, assignments and mentions, in the transaction that causes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.urls import reverse

from accounts.models import User
from drift.alerts.models import Alert, Severity, Status
from drift.notify.actions.notices import notify_subscribers, notify_user
from drift.notify.domain.messages import route_prefix
from drift.notify.models import AlertRoute, Kind, PendingNotice


def notify_opened(cluster_name: str, alerts: Iterable[Alert]) -> None:
    """Notify subscribers of the open ones of severity High among new alerts of a cluster: one line per incident."""
    opened = [alert for alert in alerts if alert.status == Status.ACTIVE and alert.severity == Severity.HIGH]
    notify_subscribers(Kind.ALERTS, [_pending(key, cluster_name, group) for key, group in _by_incident(opened).items()])


def notify_routed(route: AlertRoute, alerts: Iterable[Alert]) -> None:
    """Notify a route's recipients of alerts, read with their clusters: one line per incident."""
    prefix = route_prefix(route.pk)
    groups = _by_incident(alerts)
    notify_subscribers(
        Kind.ROUTE, [_pending(f"{prefix}{key}", group[0].cluster.name, group) for key, group in groups.items()]
    )


def _by_incident(alerts: Iterable[Alert]) -> dict[str, list[Alert]]:
    incidents: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        incidents[f"incident {alert.incident_id}" if alert.incident_id else f"alert {alert.fingerprint}"].append(alert)
    return incidents


def _pending(key: str, cluster_name: str, group: list[Alert]) -> PendingNotice:
    first = group[0]
    origin = "/".join(filter(None, (cluster_name, first.namespace, first.pod_name)))
    title = f"{first.title}: {first.path[:80]} on {origin}"
    return PendingNotice(key=key, title=title, count=len(group), path=reverse("alerts:detail", args=[first.pk]))


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
