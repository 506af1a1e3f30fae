"""Who has not obeyed yet that all blocking is stopped, or resumed."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.fleet.models import FleetState
from drift.fleet.queries.blocking_status import acknowledgement, unacknowledged_sensors
from drift.fleet.views.responses import is_htmx, live, user_of

PAGE = 100


def obeyed(request: HttpRequest) -> HttpResponse:
    """How many obey the last turn of the switch, and who does not. For htmx the live part alone."""
    state = FleetState.objects.get()
    after = _sensor_id(request.GET.get("after", ""))
    rows = list(unacknowledged_sensors(user_of(request), state, after)[: PAGE + 1])
    following = rows[PAGE - 1].pk if len(rows) > PAGE else None
    context = {
        "state": state,
        "obedience": acknowledgement(state),
        "sensors": rows[:PAGE],
        "after": after,
        "next": following,
    }
    if is_htmx(request):
        return live(request, "fleet/blocking.html#obeyed", context)
    return render(request, "fleet/blocking.html", context)


def _sensor_id(text: str) -> uuid.UUID | None:
    """None where it is none: then the list begins at its beginning."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
