"""What is filtered, as a file: streamed, so that a million alerts take no memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from drift.alerts.models import Alert
from drift.alerts.queries import alert_list as listing
from drift.alerts.queries.alert_details import as_json
from drift.alerts.queries.filters import Filters
from drift.alerts.views.shared import user_of

COLUMNS: Final = (
    "id", "severity", "alert_name", "status", "verdict", "affected_resource", "provider", "account", "namespace",
    "pod", "image", "path", "sha256", "drift_kind", "count", "outcome", "rule", "policy_version", "assignee",
    "activity_start_utc", "last_updated_utc", "mitre_tactic",
)  # fmt: skip
CHUNK: Final = 1_000
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A cell that starts so is run as a formula by spreadsheets: it is given an apostrophe."""


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_report(request: HttpRequest) -> StreamingHttpResponse:
    """The filtered alerts as CSV, newest first, safe to open in a spreadsheet."""
    writer = csv.writer(_Echo())
    rows = (writer.writerow([safe(cell) for cell in _row(alert)]) for alert in _alerts(request))
    return _file(request, "csv", "text/csv; charset=utf-8", _with_head(writer.writerow(COLUMNS), rows))


def json_report(request: HttpRequest) -> StreamingHttpResponse:
    """The filtered alerts as one JSON object a line, newest first."""
    lines = (json.dumps(as_json(alert)) + "\n" for alert in _alerts(request))
    return _file(request, "jsonl", "application/jsonl", lines)


def safe(cell: object) -> str:
    """A cell's text that no spreadsheet takes for a formula."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def _with_head(head: Any, rows: Iterable[Any]) -> Iterator[Any]:
    yield head
    yield from rows


def _alerts(request: HttpRequest) -> Iterator[Alert]:
    user = user_of(request)
    found = listing.alerts_of(user, Filters.read(request.GET))
    found = found.select_related("pulse", "binary", "cluster__environment", "assignee", "detail")
    return found.order_by("-first_seen", "-pk").iterator(CHUNK)


def _row(alert: Alert) -> tuple[object, ...]:
    environment = alert.cluster.environment
    return (
        alert.pk, alert.get_severity_display(), alert.title, alert.get_status_display(), alert.get_verdict_display(),
        alert.cluster.name, environment.provider, environment.account, alert.namespace,
        alert.pod_name, alert.image_name, alert.path, alert.binary.sha256, alert.binary.kind, alert.pulse.count,
        alert.outcome, alert.rule_name, alert.policy_number, alert.assignee.email if alert.assignee else "",
        alert.first_seen.isoformat(), alert.pulse.updated_at.isoformat(), "Execution",
    )  # fmt: skip


def _file(request: HttpRequest, suffix: str, kind: str, content: Iterable[Any]) -> StreamingHttpResponse:
    name = f"alerts-{timezone.now():%Y%m%d-%H%M}.{suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(content, content_type=kind, headers=headers)
