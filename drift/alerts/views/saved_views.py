"""Saved views of the list of alerts."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.encoding import iri_to_uri

from drift.alerts.actions.saved_views import delete_view, save_view
from drift.alerts.errors import Invalid
from drift.web.requests import signed_in_user

MAX_ADDRESS: Final = 8_000
"""Characters of a query string that servers and proxies take in an address."""


def save(request: HttpRequest) -> HttpResponse:
    """Save the list's query string (`query`) as a view called `name`, and show it."""
    query = request.POST.get("query", "").lstrip("?")
    try:
        view = save_view(signed_in_user(request), request.POST.get("name", ""), query)
    except Invalid as error:
        messages.error(request, str(error.detail))
        return redirect(f"/alerts/?{query}" if len(iri_to_uri(query)) <= MAX_ADDRESS else "/alerts/")
    messages.success(request, f"View {view.name} saved")
    return redirect(f"/alerts/?{view.query}")


def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete one of the user's own views."""
    delete_view(signed_in_user(request), pk)
    messages.success(request, "View deleted")
    return redirect("alerts:list")
