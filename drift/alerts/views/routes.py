"""The pages of notification routes: who is notified of the new alerts that match a query line."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render

from drift.alerts.forms.route import RouteForm
from drift.alerts.queries.route_rows import last_changer, route_rows
from drift.notify.actions import routes as actions
from drift.notify.errors import NameTaken, RouteChanged, RouteRejected
from drift.notify.models import AlertRoute
from drift.web.requests import bounded_int, signed_in_user
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
    if request.method != "POST":
        shown = get_object_or_404(AlertRoute, pk=pk)
        return _page(request, _filled_form(shown), shown)
    row = AlertRoute.objects.filter(pk=pk).first()
    if row is None:
        return _removed(request)
    form = RouteForm(request.POST)
    if form.is_valid():
        try:
            actions.change_route(signed_in_user(request), pk, form.cleaned_data["revision"] or 0, **_values(form))
        except NameTaken as error:
            form.add_error("name", str(error))
        except RouteChanged:
            return _changed(request, pk)
        else:
            messages.success(request, f"Route {form.cleaned_data['name']} saved")
            return redirect("alerts:routes")
    return _page(request, form, row, status=UNPROCESSABLE)


def _changed(request: HttpRequest, pk: int) -> HttpResponse:
    """Show who changed the route first. What was typed stays; Save applies it to the route as it is now."""
    row = AlertRoute.objects.filter(pk=pk).first()
    if row is None:
        return _removed(request)
    typed = QueryDict(request.POST.urlencode(), mutable=True)
    typed["revision"] = str(row.revision)
    form = RouteForm(typed)
    form.is_valid()
    to = ", ".join([*row.webhooks.order_by("name").values_list("name", flat=True), *row.addresses]) or "nobody"
    form.add_error(
        None, f"{last_changer(pk)} changed this route to: {row.query}, for {to}. Save again to replace that."
    )
    return _page(request, form, row, status=CONFLICT)


def _removed(request: HttpRequest) -> HttpResponse:
    """Show the form that adds a route, with what was typed in that of one that is gone."""
    form = RouteForm(request.POST)
    form.is_valid()
    form.add_error(None, "Somebody else removed this route. What you typed is kept: Add creates it again.")
    return _page(request, form, status=CONFLICT)


def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a route as it was at `revision`."""
    revision = bounded_int(request.POST.get("revision", "")) or 0
    try:
        if actions.remove_route(signed_in_user(request), pk, revision):
            messages.success(request, "Route removed")
        else:
            messages.info(request, "Somebody else has removed this route already")
    except RouteChanged:
        messages.error(
            request, f"{last_changer(pk)} changed this route. Nothing was removed: it is shown as it is now."
        )
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
