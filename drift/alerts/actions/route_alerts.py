"""Notify the routes of alerts that match their query lines, each once: as they open, or once their priority says so."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final

from django.db import DatabaseError, transaction

from accounts.prepared_rows import prepared_rows
from drift.alerts.actions.queue_notifications import notify_routed
from drift.alerts.domain.query_line import QueryLineError
from drift.alerts.queries.route_matches import route_matches
from drift.notify.models import AlertRoute

logger = logging.getLogger(__name__)

REMEMBER: Final = """
INSERT INTO alerts_routedalert (route_id, alert_id) SELECT %s::bigint, unnest(%s::bigint[])
ON CONFLICT DO NOTHING RETURNING alert_id
"""


def route_alerts(ids: Collection[int]) -> None:
    """Queue notices of these alerts for the routes that they match, in the transaction that scores them."""
    for route in AlertRoute.objects.order_by("pk"):
        try:
            with transaction.atomic():
                _notify(route, ids)
        except QueryLineError as error:
            # Of a portal of another version: the page shows it.
            logger.warning("alert route %d was not notified: its query cannot be read: %s", route.pk, error)
        except DatabaseError as error:
            # One route must not keep all alerts from their priorities for ever.
            logger.error("alert route %d was not notified: %s", route.pk, error)  # noqa: TRY400 - the error says it


def _notify(route: AlertRoute, ids: Collection[int]) -> None:
    matches = route_matches(route, ids)
    if not matches:
        return
    new = {pk for (pk,) in prepared_rows(REMEMBER, [route.pk, [alert.pk for alert in matches]])}
    notify_routed(route, [alert for alert in matches if alert.pk in new])
