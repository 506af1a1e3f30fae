"""Saved views of the list of alerts."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from drift.alerts.actions.saved_views import MAX_QUERY, delete_view, save_view
from drift.alerts.errors import Invalid
from drift.web.requests import signed_in_user


def save(request: HttpRequest) -> HttpResponse:
    """Save the list's query string (`query`) as a view called `name`, and show it."""
    query = request.POST.get("query", "").lstrip("?")
    try:
        view = save_view(signed_in_user(request), request.POST.get("name", ""), query)
    except Invalid as error:
        messages.error(request, str(error.detail))
        # Servers refuse longer addresses.
        return redirect(f"/alerts/?{query}" if len(query) <= MAX_QUERY else "/alerts/")
    messages.success(request, f"View {view.name} saved")
    return redirect(f"/alerts/?{view.query}")


def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete one of the user's own views."""
    delete_view(signed_in_user(request), pk)
    messages.success(request, "View deleted")
    return redirect("alerts:list")
