"""What stands in the list's command bar besides triage: saved views and sample alerts."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from drift.alerts.actions.sample_alerts import make_samples
from drift.alerts.actions.saved_views import delete_view, save_view
from drift.alerts.errors import Invalid
from drift.alerts.views.shared import user_of


def view_save(request: HttpRequest) -> HttpResponse:
    """Keep the list as it is (`query`) under a `name`, and show it."""
    try:
        view = save_view(user_of(request), request.POST.get("name", ""), request.POST.get("query", ""))
    except Invalid as fault:
        messages.error(request, str(fault.detail))
        return redirect("alerts:list")
    messages.success(request, f"View {view.name} saved")
    return redirect(f"/alerts/?{view.query}")


def view_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget one's own view."""
    delete_view(user_of(request), pk)
    messages.success(request, "View deleted")
    return redirect("alerts:list")


def samples(request: HttpRequest) -> HttpResponse:
    """Make sample alerts and show them."""
    try:
        made = make_samples(user_of(request))
    except Invalid as fault:
        messages.error(request, str(fault.detail))
        return redirect("alerts:list")
    messages.success(request, f"{len(made)} sample alerts made. Nothing happened: dismiss them when you are done.")
    return redirect("/alerts/?sample=yes")
