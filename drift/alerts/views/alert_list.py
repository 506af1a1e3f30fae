"""The list of alerts and what keeps it live."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from accounts.models import User
from drift.alerts.actions.triage import MAX_BULK
from drift.alerts.models import SavedView
from drift.alerts.queries import alert_groups as grouping
from drift.alerts.queries import alert_list as listing
from drift.alerts.queries import filter_pills as pills
from drift.alerts.queries import paging
from drift.alerts.queries.filters import RECENT, Filters, number
from drift.alerts.queries.paging import PAGE, Sort
from drift.alerts.views.shared import etag_of, is_htmx, status_of, unchanged, user_of

COLUMNS = (
    ("severity", "Severity"),
    ("name", "Alert name"),
    ("resource", "Affected resource"),
    ("group", "Resource group"),
    ("started", "Activity start time (UTC)"),
    ("updated", "Last updated time (UTC)"),
    ("", "MITRE ATT&CK® tactics"),
    ("status", "Status"),
)


def alert_list(request: HttpRequest) -> HttpResponse:
    """The page, or with htmx its results alone. `add` opens a pill for a filter that is not set yet."""
    user, filters = user_of(request), Filters.read(request.GET)
    context = results_context(request, filters)
    status = status_of(context["grouped"].short if "grouped" in context else None)
    if is_htmx(request):
        return render(request, "alerts/list/page.html#results", context, status=status)
    context |= {"summary": listing.summary(user), "views": SavedView.objects.filter(user=user)}
    return render(request, "alerts/list/page.html", context, status=status)


def results_context(request: HttpRequest, filters: Filters) -> dict[str, Any]:
    """What the results need: pills, rows or groups, and where to go from here."""
    user, sort = user_of(request), Sort.read(request.GET.get("sort", ""))
    since = listing.newest(user)
    group = request.GET.get("group", "")
    group = group if group in grouping.GROUPINGS else ""
    kept = [("sort", str(sort))] if str(sort) != paging.DEFAULT_SORT else []
    context = {
        "filters": filters,
        "pills": pills.pills(filters, request.GET.get("add", "")),
        "addable": pills.addable(filters),
        "kept": kept + ([("group", group)] if group else []),
        "recent": RECENT,
        "group": group,
        "groupings": grouping.GROUPINGS,
        "since": since,
        # Before the rows are read: what comes in between is news, and at worst already there.
        "known": ",".join(map(str, listing.unsettled(user, since))),
        "can_triage": user.can_triage,
    }
    if group:
        return {**context, **_groups(request, filters, group)}
    return {**context, **_rows(request, filters, sort)}


def _groups(request: HttpRequest, filters: Filters, group: str) -> dict[str, Any]:
    """`all`: group all alerts that match, however long that takes within reason."""
    after, everything = number(request.GET.get("after", "")) or 0, "all" in request.GET
    found = grouping.grouped(user_of(request), filters, group, after, everything=everything)
    every = f"?{urlencode([*filters.pairs(), ('group', group), ('all', 'yes')])}"
    link = every if everything else every.removesuffix("&all=yes")
    return {
        "grouped": found,
        "newest": grouping.NEWEST,
        "seconds": grouping.SECONDS,
        "every": every,
        "next": f"{link}&after={found.next}" if found.next else "",
        "first": link if after else "",
    }


def _rows(request: HttpRequest, filters: Filters, sort: Sort) -> dict[str, Any]:
    user, after = user_of(request), request.GET.get("after", "")
    page = listing.page(user, filters, sort, after)
    return {
        "columns": [_column(name, label, sort, filters) for name, label in COLUMNS],
        "alerts": listing.rows(user, page.alerts),
        "next": _link(filters, sort, page.next) if page.next else "",
        "first": _link(filters, sort) if after else "",
    }


def selection(request: HttpRequest) -> HttpResponse:
    """All alerts that the filters let through, as many as one change may take, to be changed as they are now."""
    user = user_of(request)
    found = listing.alerts_of(user, Filters.read(request.GET)).order_by("-pk")
    chosen = list(found.values_list("pk", "revision")[:MAX_BULK])
    return render(request, "alerts/list/selection.html", {"chosen": chosen, "most": MAX_BULK})


def _link(filters: Filters, sort: Sort, after: str = "") -> str:
    pairs = filters.pairs()
    if str(sort) != paging.DEFAULT_SORT:
        pairs.append(("sort", str(sort)))
    if after:
        pairs.append(("after", after))
    return f"?{urlencode(pairs)}"


def _column(name: str, label: str, sort: Sort, filters: Filters) -> dict[str, str]:
    """A heading: its link sorts by it, newest or first letter first, then the other way round."""
    if not name:
        return {"label": label}
    here = sort.name == name
    other = Sort(name, descending=not sort.descending if here else name in {"started", "updated"})
    direction = ("descending" if sort.descending else "ascending") if here else "none"
    return {"name": name, "label": label, "link": _link(filters, other), "direction": direction}


def live(request: HttpRequest) -> HttpResponse:
    """What an open list polls: numbers of new alerts, the rows that it shows, the tiles. 304 while nothing changed.

    `since` and `shown` (numbers, comma-separated) say what the page has.
    """
    user, filters = user_of(request), Filters.read(request.GET)
    shown = [pk for text in request.GET.get("shown", "").split(",") if (pk := number(text)) is not None]
    since = number(request.GET.get("since", ""))
    new = [] if since is None else listing.newer_than(listing.alerts_of(user, filters), since)
    rows, summary = listing.rows(user, shown[:PAGE]), listing.summary(user)
    etag = etag_of(new, rows, summary, user.can_triage)
    return unchanged(request, etag) or JsonResponse(
        {
            "new": new,
            "rows": {row["pk"]: _row(row, user) for row in rows},
            "summary": render_to_string("alerts/list/summary.html", {"summary": summary}, request),
        },
        headers={"ETag": etag},
    )


def _row(row: listing.Row, user: User) -> str:
    return render_to_string("alerts/list/row.html", {"alert": row, "can_triage": user.can_triage})
