"""The audit log's page, and its export."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render

from accounts.forms.audit import AuditFilterForm
from accounts.queries.audit import (
    MAX_EXPORTED,
    ShownEntry,
    audit_page,
    exported_entries,
    sees_sources,
    suggestions,
)
from accounts.views.requests import UNPROCESSABLE, signed_in_user
from sensor.names.visible_text import visible_text

COLUMNS: Final = (
    "position", "at_utc", "actor", "action", "object_type", "object_id", "object_name", "before", "after", "origin",
    "address", "agent", "session", "token", "request_id", "digest",
)  # fmt: skip
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets evaluate a cell that starts with one of these, so it gets an apostrophe."""


def audit_log(request: HttpRequest) -> HttpResponse:
    """List matching entries, newest first; `before` is the id that the previous page ended with."""
    viewer, form = signed_in_user(request), AuditFilterForm(request.GET)
    is_valid, before = form.is_valid(), request.GET.get("before", "")
    # The length keeps the number within bigint, beyond which PostgreSQL raises an error.
    below = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    entries, older = audit_page(viewer, form.filters, below) if is_valid else ([], None)
    verbs, object_types = suggestions(viewer)
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "form": form,
        "entries": entries,
        "older": older,
        "query": query.urlencode(),
        "is_filtered": any(query.values()),
        "is_later": below is not None,
        "verbs": verbs,
        "object_types": object_types,
        "sees_sources": sees_sources(viewer),
        "most_exported": MAX_EXPORTED,
    }
    return render(request, "accounts/audit.html", context, status=200 if is_valid else UNPROCESSABLE)


def export_csv(request: HttpRequest) -> HttpResponseBase:
    """Return the matching entries as CSV, safe to open in a spreadsheet."""
    writer = csv.writer(_CsvLine())
    return _export(request, "csv", "text/csv; charset=utf-8", lambda entries: _csv_lines(writer, entries))


def export_json(request: HttpRequest) -> HttpResponseBase:
    """Return the matching entries as one JSON object per line."""
    return _export(
        request, "jsonl", "application/jsonl", lambda entries: (json.dumps(_as_dict(each)) + "\n" for each in entries)
    )


def _export(request: HttpRequest, suffix: str, kind: str, lines: Any) -> HttpResponseBase:
    form = AuditFilterForm(request.GET)
    if not form.is_valid():
        return HttpResponse("Invalid filter.", status=UNPROCESSABLE, content_type="text/plain; charset=utf-8")
    content = lines(exported_entries(signed_in_user(request), form.filters))
    headers = {"Content-Disposition": f'attachment; filename="audit-log.{suffix}"'}
    return StreamingHttpResponse(content, content_type=kind, headers=headers)


class _CsvLine:
    """A file whose `write` returns the string, for csv.writer."""

    def write(self, text: str) -> str:
        return text


def _csv_lines(writer: Any, entries: Iterable[ShownEntry]) -> Iterator[str]:
    yield writer.writerow(COLUMNS)
    for entry in entries:
        yield writer.writerow([_cell(value) for value in _as_dict(entry).values()])


def _cell(value: Any) -> str:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    text = "" if value is None else visible_text(str(value), several_lines=True)
    return f"'{text}" if text.startswith(FORMULA) else text


def _as_dict(shown: ShownEntry) -> dict[str, Any]:
    entry, seal, source = shown.entry, shown.seal, shown.source
    values = (
        seal.position if seal else None, entry.at.isoformat(), shown.actor_name, entry.verb, entry.object_type,
        entry.object_id, shown.object_name, shown.before, shown.after, entry.origin, source.get("address", ""),
        source.get("agent", ""), source.get("session", ""), source.get("token", ""), entry.request_id,
        bytes(seal.digest).hex() if seal else None,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))
