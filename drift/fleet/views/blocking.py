"""Who has not obeyed yet that all blocking is stopped, or resumed."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.fleet.models import FleetState
from drift.fleet.reading.blocking import disobedient, obedience
from drift.fleet.views.answers import is_htmx, live, user_of

PAGE = 100


def obeyed(request: HttpRequest) -> HttpResponse:
    """How many obey the last turn of the switch, and who does not. For htmx the live part alone."""
    state = FleetState.objects.get()
    rows = disobedient(user_of(request), state)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = {"state": state, "obedience": obedience(state), "page": page}
    if is_htmx(request):
        return live(request, "fleet/blocking.html#obeyed", context)
    return render(request, "fleet/blocking.html", context)
