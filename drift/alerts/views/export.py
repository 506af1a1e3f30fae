"""The filtered alerts as a file, streamed so that a million alerts take no memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.process_facts import command_line
from drift.alerts.forms.filters import read_filters
from drift.alerts.models import Alert
from drift.alerts.queries.alert_json import RELATED
from drift.alerts.queries.alert_list import matching_alerts
from drift.alerts.queries.pod_entries import alerts_with_entries, entry_matches, in_batches
from drift.web.requests import signed_in_user
from sensor.names.visible_text import visible_text

COLUMNS: Final = (
    "id", "severity", "alert_name", "status", "verdict", "affected_resource", "provider", "account", "namespace",
    "pod", "image", "path", "sha256", "drift_kind", "count", "outcome", "rule", "policy_version", "assignee",
    "activity_start_utc", "last_updated_utc", "mitre_tactic", "command_line", "node", "container", "container_id",
    "image_digest", "owner", "parent", "written_by", "written_at_utc", "hash_status", "decision", "decided_because",
    "suppression_rule", "sensor", "session", "writer_origin", "entered_by", "entered_by_confidence",
    "writer_session",
)  # fmt: skip
"""New ones at the end: programs may read them by position."""
CHUNK: Final = 1_000
FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Spreadsheets evaluate a cell that starts so as a formula, in full width too: it gets an apostrophe."""
BYTE_ORDER_MARK: Final = "\ufeff"
"""Without it Excel reads a CSV file in the encoding of its computer, and shows other letters."""


class _Echo:
    """A file whose `write` returns the string, for csv.writer."""

    def write(self, text: str) -> str:
        return text


def csv_report(request: HttpRequest) -> StreamingHttpResponse:
    """Return the filtered alerts as CSV, newest first, safe to open in a spreadsheet."""
    writer = csv.writer(_Echo())
    # At once: filters that cannot be read are refused before the answer begins.
    found = _alerts(request)
    rows = (writer.writerow([escaped(cell) for cell in row]) for row in _rows(signed_in_user(request), found))
    head = BYTE_ORDER_MARK + writer.writerow(COLUMNS)
    return _file(request, "csv", "text/csv; charset=utf-8", _with_head(head, rows))


def json_report(request: HttpRequest) -> StreamingHttpResponse:
    """Return the filtered alerts as one JSON object per line, newest first."""
    user = signed_in_user(request)
    lines = (json.dumps(each) + "\n" for each in alerts_with_entries(user, _alerts(request)))
    return _file(request, "jsonl", "application/jsonl", lines)


def escaped(cell: object) -> str:
    """Return a cell that no spreadsheet evaluates as a formula, with hidden characters as escapes."""
    text = "" if cell is None else visible_text(str(cell))
    # Some spreadsheets skip spaces before a formula.
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def _with_head(head: Any, rows: Iterable[Any]) -> Iterator[Any]:
    yield head
    yield from rows


def _alerts(request: HttpRequest) -> Iterator[Alert]:
    found = matching_alerts(signed_in_user(request), read_filters(request.GET)).select_related(
        *RELATED, "suppressed_by"
    )
    return found.order_by("-first_seen", "-pk").iterator(CHUNK)


def _rows(user: User, alerts: Iterator[Alert]) -> Iterator[tuple[object, ...]]:
    for some in in_batches(alerts):
        matches = entry_matches(user, some)
        for alert in some:
            match = matches.get(alert.pk)
            known = alert.detail.event["process"].get("provenance") or {}
            who = (match.words, match.confidence) if match else ("", "")
            yield *_row(alert), *who, known.get("written_in_session")


def _row(alert: Alert) -> tuple[object, ...]:
    environment, event = alert.cluster.environment, alert.detail.event
    process, container = event["process"], event["container"]
    parent, writer = process.get("parent") or {}, process.get("written_by") or {}
    provenance = process.get("provenance") or {}
    return (
        alert.pk, alert.get_severity_display(), alert.title, alert.get_status_display(), alert.get_verdict_display(),
        alert.cluster.name, environment.provider, environment.account, alert.namespace,
        alert.pod_name, alert.image_name, alert.path, alert.binary.sha256, alert.binary.kind, alert.pulse.count,
        alert.outcome, alert.rule_name, alert.policy_number, alert.assignee.email if alert.assignee else "",
        alert.first_seen.isoformat(), alert.pulse.updated_at.isoformat(), "Execution",
        command_line(process), event["node"], container.get("name"), alert.container_id,
        container.get("image_digest"), alert.workload.owner_name, parent.get("path") or parent.get("name"),
        writer.get("path") or writer.get("name"), writer.get("at"), process.get("hash_status"), alert.action,
        alert.reason, alert.suppressed_by.name if alert.suppressed_by else "", alert.sensor_id,
        provenance.get("session"), provenance.get("writer_origin"),
    )  # fmt: skip


def _file(request: HttpRequest, suffix: str, kind: str, content: Iterable[Any]) -> StreamingHttpResponse:
    name = f"alerts-{timezone.now():%Y%m%d-%H%M}.{suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(content, content_type=kind, headers=headers)
