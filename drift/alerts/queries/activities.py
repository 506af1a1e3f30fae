"""The timeline of an alert."""

from __future__ import annotations

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


def _sees_workload(user: User, activity: AlertActivity) -> bool:
    # Rows of earlier releases name the workload without its cluster.
    workload = activity.after or {}
    if user.scope.is_whole_estate:
        return True
    return "cluster" in workload and user.scope.holds(workload["cluster"], workload.get("namespace", ""))
