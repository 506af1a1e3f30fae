"""Enrolment tokens as pages and API list them."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet

from accounts.models import Viewer
from drift.fleet.models import EnrolmentToken, SensorState


def visible_enrolment_tokens(viewer: Viewer) -> QuerySet[EnrolmentToken]:
    """Return all tokens, newest first, each with its number of live sensors as `live_nodes`."""
    rows: QuerySet[EnrolmentToken] = EnrolmentToken.objects.visible_to(viewer)
    return (
        rows.select_related("environment", "cluster", "created_by")
        .annotate(live_nodes=Count("sensors", filter=Q(sensors__state=SensorState.LIVE)))
        .order_by("-created_at", "-pk")
    )
