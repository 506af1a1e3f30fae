"""The pages of notification routes: who is notified of the new alerts that match a query line."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render

from drift.alerts.forms.route import RouteForm
from drift.alerts.queries.route_rows import route_rows
from drift.notify.actions import routes as actions
from drift.notify.errors import NameTaken, RouteChanged, RouteRejected
from drift.notify.models import AlertRoute
from drift.web.requests import signed_in_user
from drift.web.responses import UNPROCESSABLE

CONFLICT = 409


def routes(request: HttpRequest) -> HttpResponse:
    """Show the routes; POST adds one."""
    if request.method != "POST":
        return _page(request, RouteForm(initial={"query": request.GET.get("query", "")}))
    form = RouteForm(request.POST)
    if form.is_valid():
        try:
            added = actions.add_route(signed_in_user(request), **_values(form))
        except (NameTaken, RouteRejected) as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"Route {added.name} added")
            return redirect("alerts:routes")
    return _page(request, form, status=UNPROCESSABLE)


def route(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the form of a route; POST changes it as it was at `revision`."""
    row = get_object_or_404(AlertRoute, pk=pk)
    if request.method != "POST":
        return _page(request, _filled_form(row), row)
    form = RouteForm(request.POST)
    if form.is_valid():
        try:
            actions.change_route(signed_in_user(request), pk, form.cleaned_data["revision"] or 0, **_values(form))
        except NameTaken as error:
            form.add_error("name", str(error))
        except RouteChanged:
            # What was typed stays; with the row's present revision, Save applies it to what is there now.
            typed = QueryDict(request.POST.urlencode(), mutable=True)
            row = get_object_or_404(AlertRoute, pk=pk)
            typed["revision"] = str(row.revision)
            form = RouteForm(typed)
            form.is_valid()
            form.add_error(None, f"Somebody else changed this route to: {row.query}. Save again to replace that.")
            return _page(request, form, row, status=CONFLICT)
        else:
            messages.success(request, f"Route {form.cleaned_data['name']} saved")
            return redirect("alerts:routes")
    return _page(request, form, row, status=UNPROCESSABLE)


def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a route."""
    if not actions.remove_route(signed_in_user(request), pk):
        raise Http404
    messages.success(request, "Route removed")
    return redirect("alerts:routes")


def _values(form: RouteForm) -> dict[str, Any]:
    return {name: form.cleaned_data[name] for name in ("name", "query", "webhooks", "addresses")}


def _filled_form(row: AlertRoute) -> RouteForm:
    return RouteForm(
        initial={
            "name": row.name,
            "query": row.query,
            "webhooks": list(row.webhooks.values_list("pk", flat=True)),
            "addresses": "\n".join(row.addresses),
            "revision": row.revision,
        }
    )


def _page(request: HttpRequest, form: RouteForm, row: AlertRoute | None = None, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "route": row, "routes": route_rows(), "mail_host": settings.EMAIL_HOST}
    return render(request, "alerts/routes/page.html", context, status=status)
