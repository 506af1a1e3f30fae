"""POST clusters/ID/kubernetes-audit/: what the webhook of a cluster's API server, or a log shipper, sends."""

from __future__ import annotations

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.alerts.actions.store_pod_entries import store_pod_entries
from drift.alerts.forms.kubernetes_audit import read_audit_batch
from drift.fleet.models import Cluster
from drift.web.openapi import error_response
from drift.web.requests import signed_in_user

_KIND = {"type": "string"}
REQUEST = {
    "description": "An EventList of audit.k8s.io/v1, or an Event; or one Event a line.",
    "oneOf": [
        {
            "type": "object",
            "required": ["kind", "items"],
            "properties": {"kind": {**_KIND, "enum": ["EventList"]}, "items": {"type": "array", "items": {}}},
        },
        {"type": "object", "required": ["kind"], "properties": {"kind": {**_KIND, "enum": ["Event"]}}},
    ],
}
RESPONSE = {
    "type": "object",
    "required": ["stored", "known", "refused", "other", "invalid"],
    "properties": {
        "stored": {"type": "integer", "description": "Requests that were not known yet."},
        "known": {"type": "integer", "description": "Lines of requests that were known, such as later stages."},
        "refused": {"type": "integer", "description": "Lines too old or too new, or that contradict a known request."},
        "other": {"type": "integer", "description": "Events that run nothing in a pod; nothing of them is kept."},
        "invalid": {"type": "integer", "description": "Items that are not valid audit events."},
    },
}


class KubernetesAuditView(APIView):
    """Audit lines of one cluster: an EventList of audit.k8s.io/v1, or one event a line, gzip allowed."""

    @extend_schema(
        operation_id="send_kubernetes_audit",
        request={"application/json": REQUEST},
        responses={
            200: RESPONSE,
            400: error_response("bad_body"),
            404: error_response("not_found"),
            413: error_response("too_large"),
            429: error_response("audit_lines_full"),
            503: error_response("unavailable"),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """Keep what runs something in a pod. A line that is not valid never rejects the others: it would lose them."""
        user = signed_in_user(request)
        cluster = Cluster.objects.visible_to(user).filter(pk=pk).first()
        # Who sees a namespace alone must not say who entered the others.
        if cluster is None or any(part.namespaces_in(cluster.pk) is not None for part in user.scope.parts):
            raise Http404
        found, other, invalid = read_audit_batch(request)
        stored = store_pod_entries(cluster, found, _source(request))
        return Response(
            {
                "stored": stored.stored,
                "known": stored.known,
                "refused": stored.refused,
                "other": other,
                "invalid": invalid,
            }
        )


def _source(request: Request) -> str:
    return f"token {request._request.api_token.prefix}"  # type: ignore[attr-defined]
