"""Alerts for API clients: list, get, change of status."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.alerts.actions import triage
from drift.alerts.api.serializers import AlertQuery, ChangeStatus
from drift.alerts.domain.pod_entries import MAX_PEOPLE, EntryConfidence
from drift.alerts.domain.sort_order import SortOrder
from drift.alerts.forms.filters import read_filters
from drift.alerts.models import Alert, Resolution, Severity, Status
from drift.alerts.queries.alert_json import RELATED, explained_alert_json
from drift.alerts.queries.alert_list import alert_page
from drift.alerts.queries.alert_pages import AlertPosition
from drift.alerts.queries.pod_entries import alerts_with_entries, entered_by_json
from drift.web.cursors import InvalidCursor
from drift.web.openapi import error_response
from drift.web.requests import signed_in_user
from drift.web.serializers import validated, validated_parameters

_NAME = {"type": "string", "nullable": True}
ENTERED_BY = {
    "type": "object",
    "nullable": True,
    "description": "Who entered the container (docs/kubernetes-audit.md); null where nobody did, or it is not known.",
    "required": ["confidence", "claimed_id", "requests"],
    "properties": {
        "confidence": {"type": "string", "enum": [each.value for each in EntryConfidence]},
        "claimed_id": _NAME,
        "requests": {
            "type": "array",
            "maxItems": MAX_PEOPLE,
            "items": {
                "type": "object",
                "properties": {
                    "audit_id": {"type": "string"},
                    "kind": {"type": "string"},
                    "user": _NAME,
                    "acting_as": _NAME,
                    "address": _NAME,
                    "claimed_addresses": {"type": "array", "items": {"type": "string"}},
                    "agent": _NAME,
                    "requested_at": {"type": "string", "format": "date-time"},
                    "erased": {"type": "boolean"},
                },
            },
        },
    },
}
ALERT = {
    "type": "object",
    "required": ["id", "revision", "name", "priority", "severity", "status", "count", "first_seen", "last_seen"],
    "properties": {
        "id": {"type": "integer"},
        "revision": {
            "type": "integer",
            "description": "Required to change the alert; an outdated revision returns 409.",
        },
        "name": {"type": "string"},
        "description": {"type": "string"},
        "what": {"type": "string", "description": "What ran, where, and by whom the file was written."},
        "priority": {
            "type": "integer",
            "minimum": 0,
            "maximum": 100,
            "description": "What to look at first. With a scope, it follows from the alert's own namespace alone.",
        },
        "reasons": {"type": "string", "description": "What makes the priority, in one line."},
        "severity": {"type": "string", "enum": Severity.values, "description": "The rule's."},
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
        "entered_by": ENTERED_BY,
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


class AlertsView(APIView):
    """Alerts that match the filters; without `status` only open ones (`any`: all)."""

    @extend_schema(operation_id="alerts", parameters=[AlertQuery], responses={200: PAGE})
    def get(self, request: Request) -> Response:
        """List a page of alerts, newest first by default. 400 `invalid_query` has the `position` of what is wrong."""
        query = validated_parameters(AlertQuery, request.query_params)
        user, filters = signed_in_user(request), read_filters(request._request.GET)
        sort, after = SortOrder.parse(query.get("sort", "")), query.get("after", "")
        if after and AlertPosition.read(sort, after) is None:
            raise InvalidCursor("after")
        page = alert_page(user, filters, sort, after, query["size"])
        alerts = Alert.objects.with_set_aside(user).select_related(*RELATED).in_bulk(page.alerts)
        return Response(
            {
                "alerts": list(alerts_with_entries(user, [alerts[pk] for pk in page.alerts if pk in alerts])),
                "next": page.next,
            }
        )


class AlertView(APIView):
    """One alert with the trace that explains it."""

    @extend_schema(operation_id="alert", responses={200: ALERT})
    def get(self, request: Request, pk: int) -> Response:
        """Return the alert as it is now."""
        user = signed_in_user(request)
        rows = Alert.objects.with_set_aside(user).select_related(*RELATED)
        alert = get_object_or_404(rows, pk=pk)
        return Response({**explained_alert_json(user, alert), "entered_by": entered_by_json(user, alert)})


class StatusView(APIView):
    """The status of alerts."""

    @extend_schema(
        operation_id="alerts_status",
        request=ChangeStatus,
        responses={
            200: {"type": "object", "properties": {"alerts": {"type": "object"}}},
            409: error_response("conflict"),
            422: error_response("invalid"),
        },
    )
    def post(self, request: Request) -> Response:
        """Set the status of all given alerts, or of none (409) where one changed since its revision was read."""
        sent = validated(ChangeStatus, request.data)
        seen, status = sent.pop("alerts"), Status(sent.pop("status"))
        changed = triage.change_status(signed_in_user(request), seen, triage.StatusChange(status, **sent))
        return Response({"alerts": {str(alert.pk): alert.revision for alert in changed}})
