"""What the policy page's views share: who asks, for which point, and the three ways to answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from drift.policy.errors import Conflict, DocumentInvalid, NewerVersion, StaleDraft
from drift.policy.models import PolicyProposal, ProposalState
from drift.policy.queries.draft_state import Point, State, latest_version, state_of
from drift.policy.views.presentation import row_lines, rows_of, three_ways

Refusal = Conflict | DocumentInvalid
DECIDED = (ProposalState.SAVED, ProposalState.DECLINED)
DAYS_TOLD = 7
"""How long an author sees the decision on the policy page."""
NOTES = 10


def user_of(request: HttpRequest) -> User:
    """The signed-in user; the access table lets nobody else through."""
    return cast("User", request.user)


def may_draft(user: User) -> bool:
    """Whether the user may change rules in a draft: an admin saves it, an operator proposes it."""
    return user.has_role(Role.OPERATOR)


def is_htmx(request: HttpRequest) -> bool:
    """Whether a part is asked for rather than a page."""
    return request.headers.get("HX-Request") == "true"


def seen_by(user: User) -> State:
    """What the page shows: the own draft to those who may have one, to everybody else the latest version."""
    if may_draft(user):
        return state_of(user)
    latest = latest_version()
    return State(latest, latest.document, 0, latest.number)


def point_of(request: HttpRequest) -> Point:
    """The point that the form was made for; a form that names none is stale."""
    point = Point.parse(request.POST.get("point", ""))
    if point is None:
        raise StaleDraft
    return point


def page_context(request: HttpRequest, state: State) -> dict[str, Any]:
    """What `policy/page.html` needs."""
    query = request.GET.get("q", "")
    rows, rights = rows_of(state.document, query), rights_of(request)
    return {
        "state": state,
        "rows": rows,
        "row_lines": row_lines(rows, can_edit=rights["can_edit"]),
        "query": query,
        "changes": len(state.changes),
        "proposals": notes_for(user_of(request)),
        **rights,
    }


def rights_of(request: HttpRequest) -> dict[str, bool]:
    """What the page offers its user."""
    user = user_of(request)
    return {"can_edit": may_draft(user), "can_save": user.can_edit_policy}


def notes_for(user: User) -> list[PolicyProposal]:
    """The proposals that the page tells of: to an admin the open ones, to an author what became of theirs."""
    own = Q(author=user) & (
        Q(state=ProposalState.OPEN)
        | Q(state__in=DECIDED, decided_at__gte=timezone.now() - dt.timedelta(days=DAYS_TOLD))
    )
    wanted = own | Q(state=ProposalState.OPEN) if user.can_edit_policy else own
    rows = (
        PolicyProposal.objects.visible_to(user)
        .filter(wanted)
        .select_related("author", "taken_by", "decided_by", "version")
    )
    return list(rows.defer("document", "version__document")[:NOTES])


def comment_of(request: HttpRequest) -> str:
    """What the user says of a version, cut to what is stored."""
    return request.POST.get("comment", "").replace("\0", "").strip()[:1_000]


def panel(
    request: HttpRequest, state: State, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """The panel alone, or without htmx the page with the panel open beside it."""
    context |= {"point": state.point, "state": state, **rights_of(request)}
    if is_htmx(request):
        return render(request, template, context, status=status)
    whole = {**page_context(request, state), **context, "panel_template": template}
    return render(request, "policy/page.html", whole, status=status)


def changed(request: HttpRequest, state: State, said: str, more: dict[str, Any] | None = None) -> HttpResponse:
    """After a change: the list anew with `said` for screen readers, or without htmx back to the page.

    `more` goes to the template.
    """
    if not is_htmx(request):
        messages.success(request, said)
        return redirect("policy:page")
    context = {**page_context(request, state), "said": said, "is_part": True, **(more or {})}
    return render(request, "policy/page.html#policy", context)


def refused(request: HttpRequest, error: Refusal) -> HttpResponse:
    """The list as it now is, with what was refused and why; 409 or 422."""
    context = page_context(request, seen_by(user_of(request)))
    context |= {"refusal": str(error.detail), "is_part": is_htmx(request)}
    if isinstance(error, NewerVersion):
        context |= {"newer": error, "lines": three_ways(error.theirs, error.yours, error.twice)}
    if not is_htmx(request):
        return render(request, "policy/page.html", context, status=error.status_code)
    part = render(request, "policy/page.html#policy", context, status=error.status_code)
    return in_place_of_list(part, closes_panel=request.headers.get("HX-Target") == "panel")


def in_place_of_list(response: HttpResponse, *, closes_panel: bool = False) -> HttpResponse:
    """Let a part replace the list whatever it was asked for, and close the panel if so wanted."""
    response["HX-Retarget"] = "#policy"
    response["HX-Reswap"] = "outerHTML"
    if closes_panel:
        response["HX-Trigger-After-Swap"] = "panel:close"
    return response


View = Callable[..., HttpResponse]


def explains_refusals(view: View) -> View:
    """Answer a refused change with the page's own explanation."""

    @wraps(view)
    def wrapped(request: HttpRequest, **arguments: int) -> HttpResponse:
        try:
            return view(request, **arguments)
        except (Conflict, DocumentInvalid) as error:
            return refused(request, error)

    return wrapped
