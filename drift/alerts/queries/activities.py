"""The timeline of an alert."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.models import User
from drift.alerts.models import ActivityKind, Alert, AlertActivity


def visible_activities(user: User, alert: Alert) -> list[AlertActivity]:
    """Return what happened to an alert that the user sees, newest first.

    Where a snooze ended because the binary spread, the other workload is named only if the user sees it.
    """
    activities = list(alert.activities.select_related("actor").order_by("-id"))
    for each in activities:
        if each.kind == ActivityKind.SPREAD and not _sees_workload(user, each):
            each.after = {}
    return activities


def last_activities(activities: QuerySet[AlertActivity], alerts: Sequence[int]) -> dict[int, AlertActivity]:
    """Return the last of these activities of each alert that has one, with its actor.

    One look-up in an index for each alert, however long its timeline is.
    """
    last = activities.filter(alert=OuterRef("pk")).order_by("-id").values("pk")[:1]
    numbers = Alert.objects.filter(pk__in=alerts).annotate(last=Subquery(last)).values_list("last", flat=True)
    found = activities.filter(pk__in=[pk for pk in numbers if pk]).select_related("actor")
    return {each.alert_id: each for each in found}


def _sees_workload(user: User, activity: AlertActivity) -> bool:
    # Rows of earlier releases name the workload without its cluster.
    workload = activity.after or {}
    if user.scope.is_whole_estate:
        return True
    return "cluster" in workload and user.scope.holds(workload["cluster"], workload.get("namespace", ""))
