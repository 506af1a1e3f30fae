"""The notification routes as their page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from accounts.models import AuditEntry
from drift.alerts.domain.query_line import QueryLineError, parse_line
from drift.notify.models import AlertRoute
from drift.notify.queries.routes import alert_routes


@dataclass(frozen=True)
class RouteRow:
    """A route. `alerts`: the address of the alerts of the last week that match; `error`: why its query is not one."""

    route: AlertRoute
    recipients: list[str]
    alerts: str
    error: str


def route_rows() -> list[RouteRow]:
    """Return the routes by name."""
    return [_row(route) for route in alert_routes()]


def last_changer(pk: int) -> str:
    """Return the name of who added, changed or removed a route last."""
    entries = AuditEntry.objects.filter(object_type="alert route", object_id=str(pk))
    last = entries.select_related("actor").order_by("-pk").first()
    return str(last.actor.name if last.actor else last.actor_name) if last else "Somebody else"


def _row(route: AlertRoute) -> RouteRow:
    recipients = [*(webhook.name for webhook in route.webhooks.all()), *route.addresses]
    try:
        filters = parse_line(route.query)
    except QueryLineError as error:
        return RouteRow(route, recipients, "", str(error))
    week = {} if {"newer", "from", "day", "status"} & set(filters.values) else {"newer": "7d", "status": "any"}
    return RouteRow(route, recipients, urlencode({"query": route.query, **week}), "")
