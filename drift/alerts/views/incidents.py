"""One incident: its summary, and a timeline of its alerts."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from drift.alerts.queries.incident_execs import MAX_EXECS
from drift.alerts.queries.incident_timeline import incident_summary, page_execs, timeline_entries, timeline_page
from drift.alerts.queries.pod_entries import entered_people
from drift.web.requests import is_fragment, signed_in_user


def incident_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the incident; as a fragment, its summary and timeline."""
    user = signed_in_user(request)
    summary = incident_summary(user, pk)
    if summary is None:
        raise Http404
    page = timeline_page(user, pk, request.GET.get("after", ""))
    execs = page_execs(user, pk, page)
    context = {
        "incident": summary,
        "entries": timeline_entries(user, page.rows, execs),
        "people": entered_people(user, page.rows),
        "execs": execs,
        "after": execs.gaps[-1],
        "most_execs": MAX_EXECS,
        "next": f"?{urlencode({'after': page.next})}" if page.next else "",
        "first": "?" if page.is_later else "",
        "can_triage": user.can_triage,
    }
    template = "alerts/incidents/page.html#results" if is_fragment(request) else "alerts/incidents/page.html"
    return render(request, template, context)
