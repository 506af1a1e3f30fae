"""Alerts for people's programs: list, get, change of status."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from drift.alerts.actions import triage
from drift.alerts.models import Alert, Resolution, Status
from drift.alerts.queries import alert_list as listing
from drift.alerts.queries import paging
from drift.alerts.queries.alert_details import as_json, explained
from drift.alerts.queries.filters import CHOICES, FIELDS, Filters, number
from drift.alerts.queries.paging import Sort

MAX_PAGE = 200
RELATED = ("pulse", "detail", "binary", "cluster__environment", "assignee")
ALERT = {
    "type": "object",
    "required": ["id", "revision", "name", "severity", "status", "count", "first_seen", "last_seen"],
    "properties": {
        "id": {"type": "integer"},
        "revision": {"type": "integer", "description": "Send it back with a change: a stale one gets 409."},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "severity": {"type": "string", "enum": ["high"]},
        "status": {"type": "string", "enum": Status.values},
        "verdict": {"type": "string", "nullable": True, "enum": [*Resolution.values, None]},
        "count": {"type": "integer", "format": "int64"},
        "first_seen": {"type": "string", "format": "date-time"},
        "last_seen": {"type": "string", "format": "date-time"},
        "resource": {"type": "object"},
        "policy": {"type": "object", "description": "The rule as it was, and the version it was in."},
        "trace": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Each rule that was looked at, the deciding one last; not in lists.",
        },
        "event": {"type": "object", "description": "The drift event that opened the alert."},
    },
}
PAGE = {
    "type": "object",
    "required": ["alerts", "next"],
    "properties": {
        "alerts": {"type": "array", "items": ALERT},
        "next": {"type": "string", "nullable": True, "description": "Send it as `after` for the next page."},
    },
}


class ChangeStatus(serializers.Serializer[Any]):
    """A status for some alerts, each with the revision that its reader saw."""

    alerts = serializers.DictField(
        child=serializers.IntegerField(min_value=1), help_text="Alert number → revision; at most 1,000."
    )
    status = serializers.ChoiceField(Status.choices)
    verdict = serializers.ChoiceField(
        [(v.value, v.label) for v in Resolution if v != Resolution.SUPPRESSED], required=False, source="resolution"
    )
    comment = serializers.CharField(required=False, allow_blank=True, max_length=triage.MAX_COMMENT)
    quiet_until = serializers.DateTimeField(required=False, allow_null=True)
    until_spread = serializers.BooleanField(required=False, default=False)

    def validate_alerts(self, value: dict[str, int]) -> dict[int, int]:
        """Alert numbers are digits; JSON has only texts as keys."""
        if not all(key.isascii() and key.isdigit() and len(key) < 16 for key in value):
            raise serializers.ValidationError("The keys must be alert numbers.")
        return {int(key): revision for key, revision in value.items()}


def _parameters() -> list[OpenApiParameter]:
    many = [OpenApiParameter(name, str, many=True, enum=CHOICES.get(name)) for name in FIELDS]
    return [
        OpenApiParameter("q"),
        *many,
        OpenApiParameter("sort"),
        OpenApiParameter("after"),
        OpenApiParameter("size", int),
    ]


def _user(request: Request) -> User:
    user = request.user
    assert isinstance(user, User)  # noqa: S101 - the access table lets nobody else through
    return user


class AlertsView(APIView):
    """The alerts that the filters let through; without `status` the open ones (`any`: all)."""

    @extend_schema(operation_id="alerts", parameters=_parameters(), responses={200: PAGE})
    def get(self, request: Request) -> Response:
        """One page, newest first unless sorted otherwise."""
        query, user = request._request.GET, _user(request)
        filters, wanted = Filters.read(query), number(query.get("size", ""))
        size = max(1, paging.PAGE if wanted is None else min(wanted, MAX_PAGE))
        sort, after = Sort.read(query.get("sort", "")), query.get("after", "")
        page = listing.page(user, filters, sort, after, size)
        alerts = Alert.objects.visible_to(user).select_related(*RELATED).in_bulk(page.alerts)
        return Response({"alerts": [as_json(alerts[pk]) for pk in page.alerts if pk in alerts], "next": page.next})


class AlertView(APIView):
    """One alert with what explains it."""

    @extend_schema(operation_id="alert", responses={200: ALERT})
    def get(self, request: Request, pk: int) -> Response:
        """The alert as it is now."""
        rows = Alert.objects.visible_to(_user(request)).select_related(*RELATED)
        return Response(explained(get_object_or_404(rows, pk=pk)))


class StatusView(APIView):
    """Triage."""

    @extend_schema(
        operation_id="alerts_status",
        request=ChangeStatus,
        responses={200: {"type": "object", "properties": {"alerts": {"type": "object"}}}},
    )
    def post(self, request: Request) -> Response:
        """Give alerts a status: all of them, or none (409) where one was changed since its revision was read."""
        form = ChangeStatus(data=request.data)
        form.is_valid(raise_exception=True)
        sent = dict(form.validated_data)
        seen, status = sent.pop("alerts"), Status(sent.pop("status"))
        changed = triage.change_status(_user(request), seen, triage.StatusChange(status, **sent))
        return Response({"alerts": {str(alert.pk): alert.revision for alert in changed}})
