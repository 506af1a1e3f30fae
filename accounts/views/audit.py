"""The audit log's page, and its export."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render

from accounts.forms.audit import AuditFilterForm
from accounts.queries.audit import (
    MAX_EXPORTED,
    audit_page,
    matching_entries,
    sees_sources,
    suggestions,
)
from accounts.queries.audit_export import Lines, csv_lines, exported_lines, json_lines
from accounts.views.requests import UNPROCESSABLE, signed_in_user


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
        "most_exported": f"{MAX_EXPORTED:,}",
    }
    return render(request, "accounts/audit.html", context, status=200 if is_valid else UNPROCESSABLE)


def export_csv(request: HttpRequest) -> HttpResponseBase:
    """Return the newest matching entries as CSV, safe to open in a spreadsheet."""
    return _export(request, "csv", "text/csv; charset=utf-8", csv_lines)


def export_json(request: HttpRequest) -> HttpResponseBase:
    """Return the newest matching entries as one JSON object per line."""
    return _export(request, "jsonl", "application/jsonl", json_lines)


def _export(request: HttpRequest, suffix: str, kind: str, lines: Lines) -> HttpResponseBase:
    viewer, form = signed_in_user(request), AuditFilterForm(request.GET)
    if not form.is_valid():
        return HttpResponse("Invalid filter.", status=UNPROCESSABLE, content_type="text/plain; charset=utf-8")
    content = exported_lines(matching_entries(viewer, form.filters), viewer, lines)
    headers = {"Content-Disposition": f'attachment; filename="audit-log.{suffix}"'}
    return StreamingHttpResponse(content, content_type=kind, headers=headers)
