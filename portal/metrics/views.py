"""`GET /metrics`, for Prometheus."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from portal.metrics.estate import EstateCollector
from portal.metrics.requests import request_counters


def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics of docs/metrics.md, to holders of METRICS_TOKEN; 404 where none is set."""
    if not settings.METRICS_TOKEN:
        raise Http404
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secrets.compare_digest(
        token.strip().encode(), settings.METRICS_TOKEN.encode()
    ):
        body = {"code": "not_authenticated", "message": "Send METRICS_TOKEN in the header Authorization: Bearer …"}
        return JsonResponse(body, status=401, headers={"WWW-Authenticate": 'Bearer realm="metrics"'})
    shared = CollectorRegistry(auto_describe=False)
    shared.register(EstateCollector())
    content = generate_latest(request_counters().all_processes()) + generate_latest(shared)
    return HttpResponse(content, content_type=CONTENT_TYPE_LATEST)
