"""Which alerts a notification route is for: those that the list shows for its query line."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef

from accounts.models import User
from accounts.roles import Role
from drift.alerts.domain.query_line import parse_line
from drift.alerts.models import Alert, RoutedAlert
from drift.alerts.queries.alert_list import listed_alerts
from drift.alerts.queries.filter_conditions import filter_condition
from drift.alerts.queries.search import matches_row_by_row
from drift.notify.models import AlertRoute


def route_matches(route: AlertRoute, among: Collection[int]) -> list[Alert]:
    """Return which of these alerts the route is for and was not notified of yet, oldest first, with their clusters.

    Alerts from before its query was saved are not, nor are samples. Raises QueryLineError, for a line of another
    version of the portal.
    """
    filters = parse_line(route.query)
    # Routes are an Admin's, who sees the whole estate; nothing else of the user matters, since routes have no `me`.
    viewer = User(role=Role.ADMIN)
    found = listed_alerts(viewer, filters).filter(filter_condition(filters, viewer), pk__in=among)
    if filters.q:
        found = matches_row_by_row(found, filters.text)
    told = RoutedAlert.objects.filter(route=route, alert=OuterRef("pk"))
    found = found.filter(~Exists(told), created_at__gte=route.since, sample=False)
    return list(found.select_related("cluster").order_by("pk"))
