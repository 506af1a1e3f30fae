"""Alerts for API clients: list, get, change of status."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.alerts.actions import triage
from drift.alerts.forms.filters import PARAMETERS, read_filters, read_sort_order
from drift.alerts.models import Alert, Resolution, Status
from drift.alerts.queries.alert_json import RELATED, alert_json, explained_alert_json
from drift.alerts.queries.alert_list import alert_page
from drift.alerts.queries.alert_pages import PAGE_SIZE
from drift.web.requests import bounded_int, signed_in_user

MAX_PAGE_SIZE = 200
ALERT = {
    "type": "object",
    "required": ["id", "revision", "name", "severity", "status", "count", "first_seen", "last_seen"],
    "properties": {
        "id": {"type": "integer"},
        "revision": {
            "type": "integer",
            "description": "Required to change the alert; an outdated revision returns 409.",
        },
        "name": {"type": "string"},
        "description": {"type": "string"},
        "severity": {"type": "string", "enum": ["high"]},
        "status": {"type": "string", "enum": Status.values},
        "verdict": {"type": "string", "nullable": True, "enum": [*Resolution.values, None]},
        "count": {"type": "integer", "format": "int64"},
        "first_seen": {"type": "string", "format": "date-time"},
        "last_seen": {"type": "string", "format": "date-time"},
        "resource": {"type": "object"},
        "policy": {"type": "object", "description": "The rule that decided, as it was, and its policy version."},
        "trace": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Each evaluated rule, the deciding one last. Not in lists.",
        },
        "event": {"type": "object", "description": "The drift event that opened the alert."},
    },
}
PAGE = {
    "type": "object",
    "required": ["alerts", "next"],
    "properties": {
        "alerts": {"type": "array", "items": ALERT},
        "next": {
            "type": "string",
            "nullable": True,
            "description": "Cursor of the next page, to send as `after`; null on the last page.",
        },
    },
}


class ChangeStatus(serializers.Serializer[Any]):
    """A new status for some alerts, each with the revision that the client read."""

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
        """Return the alerts by number; JSON keys are always strings."""
        numbers = {bounded_int(key): revision for key, revision in value.items()}
        revisions = {number: revision for number, revision in numbers.items() if number is not None}
        if len(revisions) < len(numbers):
            raise serializers.ValidationError("The keys must be alert numbers.")
        return revisions


def _parameters() -> list[OpenApiParameter]:
    many = [OpenApiParameter(name, str, many=True, enum=choices) for name, choices in PARAMETERS.items()]
    return [
        OpenApiParameter("q", description="Alert number, or part of a path, image, pod or hash."),
        *many,
        OpenApiParameter("sort", description="Column, descending with `-`. Default: `-started`."),
        OpenApiParameter("after", description="Cursor: `next` of the previous page."),
        OpenApiParameter("size", int, description=f"Alerts per page: 1 to {MAX_PAGE_SIZE}, default {PAGE_SIZE}."),
    ]


class AlertsView(APIView):
    """Alerts that match the filters; without `status` only open ones (`any`: all)."""

    @extend_schema(operation_id="alerts", parameters=_parameters(), responses={200: PAGE})
    def get(self, request: Request) -> Response:
        """List a page of alerts, newest first by default."""
        query, user = request._request.GET, signed_in_user(request)
        wanted = bounded_int(query.get("size", ""))
        size = max(1, PAGE_SIZE if wanted is None else min(wanted, MAX_PAGE_SIZE))
        page = alert_page(user, read_filters(query), read_sort_order(query), query.get("after", ""), size)
        alerts = Alert.objects.with_set_aside(user).select_related(*RELATED).in_bulk(page.alerts)
        return Response({"alerts": [alert_json(alerts[pk]) for pk in page.alerts if pk in alerts], "next": page.next})


class AlertView(APIView):
    """One alert with the trace that explains it."""

    @extend_schema(operation_id="alert", responses={200: ALERT})
    def get(self, request: Request, pk: int) -> Response:
        """Return the alert as it is now."""
        rows = Alert.objects.with_set_aside(signed_in_user(request)).select_related(*RELATED)
        return Response(explained_alert_json(get_object_or_404(rows, pk=pk)))


class StatusView(APIView):
    """The status of alerts."""

    @extend_schema(
        operation_id="alerts_status",
        request=ChangeStatus,
        responses={200: {"type": "object", "properties": {"alerts": {"type": "object"}}}},
    )
    def post(self, request: Request) -> Response:
        """Set the status of all given alerts, or of none (409) where one changed since its revision was read."""
        form = ChangeStatus(data=request.data)
        form.is_valid(raise_exception=True)
        sent = dict(form.validated_data)
        seen, status = sent.pop("alerts"), Status(sent.pop("status"))
        changed = triage.change_status(signed_in_user(request), seen, triage.StatusChange(status, **sent))
        return Response({"alerts": {str(alert.pk): alert.revision for alert in changed}})
