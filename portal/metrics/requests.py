"""Counters of this web process: requests, their time, and what sensors sent."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from portal.metrics.slots import use_slot
from portal.metrics.table import BUCKETS, KINDS, PREFIX, STATUSES, TABLE

INGEST = "alerts-api:events"
_HELP = {each.name: each.help for each in TABLE}


class RequestCounters:
    """What one process counts. Every series is there from the start, with 0."""

    def __init__(self, views: Iterable[str], sensor_views: Iterable[str]) -> None:
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            use_slot()
        self.registry = CollectorRegistry()
        requests = self._counter("http_requests", ["view", "status"])
        # Children are kept: looking one up by its labels costs more than counting.
        self._requests = {view: [requests.labels(view, status) for status in STATUSES] for view in [*views, "none"]}
        seconds = Histogram(
            f"{PREFIX}http_request_seconds",
            _HELP["http_request_seconds"],
            ["kind"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._seconds = {kind: seconds.labels(kind) for kind in KINDS}
        events = self._counter("ingest_events", ["result"])
        self._accepted, self._duplicates = events.labels("accepted"), events.labels("duplicate")
        refused = self._counter("ingest_refused_batches", ["status"])
        self._refused = {4: refused.labels("4xx"), 5: refused.labels("5xx")}
        self._sensor_views = frozenset(sensor_views)

    def _counter(self, name: str, labels: list[str]) -> Counter:
        return Counter(f"{PREFIX}{name}", _HELP[f"{name}_total"], labels, registry=self.registry)

    def count(self, view: str, path: str, status: int, seconds: float) -> None:
        """Count one request."""
        known = self._requests.get(view) or self._requests["none"]
        known[min(max(status // 100, 2), 5) - 2].inc()
        self._seconds[self._kind(view, path)].observe(seconds)

    def _kind(self, view: str, path: str) -> str:
        if view == INGEST:
            return "ingest"
        if view in self._sensor_views:
            return "sensor"
        if path.startswith("/api/"):
            return "api"
        return "page" if view in self._requests else "other"

    def count_batch(self, status: int, data: dict[str, int] | None) -> None:
        """Count the events of a batch, or that it was refused."""
        if status == 200 and data:
            self._accepted.inc(data["accepted"])
            self._duplicates.inc(data["duplicates"])
        elif refused := self._refused.get(status // 100):
            refused.inc()

    def all_processes(self) -> CollectorRegistry:
        """Return a registry with what all web processes of this machine counted."""
        if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry


_counters: list[RequestCounters] = []


def request_counters() -> RequestCounters:
    """Return this process's counters; made at the first call."""
    if not _counters:
        # Late: the table of views imports what Django must have loaded.
        from portal.access import TABLE as VIEWS
        from portal.access import Open

        sensors = [name for name, access in VIEWS.items() if Open.SENSOR in (access.read, access.change)]
        _counters.append(RequestCounters(VIEWS, sensors))
    return _counters[0]


class MetricsMiddleware:
    """Counts every request, where METRICS_TOKEN is set; costs nothing where it is not."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.METRICS_TOKEN:
            raise MiddlewareNotUsed
        self.get_response = get_response
        self._counters = request_counters()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        view = match.view_name if match else ""
        self._counters.count(view, request.path, response.status_code, time.perf_counter() - began)
        if view == INGEST:
            self._counters.count_batch(response.status_code, getattr(response, "data", None))
        return response
