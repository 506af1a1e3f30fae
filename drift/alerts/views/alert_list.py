"""The list of alerts, and the polls that keep it current."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import iri_to_uri
from django.utils.http import MAX_URL_REDIRECT_LENGTH

from accounts.models import User
from drift.alerts.actions.list_preferences import remember_order, remember_view, set_density
from drift.alerts.actions.triage import MAX_BULK
from drift.alerts.domain.filters import Filters
from drift.alerts.domain.query_line import print_line
from drift.alerts.domain.sort_order import GREATEST_FIRST, SortOrder
from drift.alerts.errors import QueryInvalid
from drift.alerts.forms.filters import read_filters, read_sort_order
from drift.alerts.models import ListPreference, SavedView
from drift.alerts.queries import alert_groups, alert_list, incident_list
from drift.alerts.queries.alert_pages import PAGE_SIZE
from drift.alerts.queries.filter_pills import addable_filters, pills
from drift.alerts.queries.list_preferences import list_preference, usual_order
from drift.alerts.queries.query_completions import query_completions
from drift.alerts.queries.query_limits import FULL_SCAN_SECONDS
from drift.alerts.queries.query_names import with_names
from drift.alerts.queries.search import RECENT
from drift.web.requests import bounded_int, is_fragment, signed_in_user
from drift.web.responses import UNPROCESSABLE, facts_etag, not_modified
from drift.web.visible_html import visible_html

ALERTS, INCIDENTS = "alerts", "incidents"
VIEWS = (ALERTS, INCIDENTS)
"""The list shows alerts, or the incidents that they are part of."""
COLUMNS = (
    ("priority", "Priority"),
    ("severity", "Severity"),
    ("name", "Alert name"),
    ("resource", "Affected resource"),
    ("group", "Resource group"),
    ("started", "Activity start time (UTC)"),
    ("updated", "Last updated (UTC)"),
    ("", "MITRE ATT&CK® tactics"),
    ("status", "Status"),
)


def alert_list_page(request: HttpRequest) -> HttpResponse:
    """Show the page; as a fragment, its results. `add` opens a pill for another filter.

    A query leads to the address of its filters, unless that is too long for a redirect.
    """
    user = signed_in_user(request)
    try:
        filters = read_filters(request.GET)
    except QueryInvalid as error:
        return _refused(request, error)
    address = _address(request, filters)
    if "query" in request.GET and not is_fragment(request) and len(address) <= MAX_URL_REDIRECT_LENGTH:
        return redirect(address)
    context = _results(request, filters)
    limit = context["grouped"].limit if "grouped" in context else None
    status = 429 if limit and limit.is_busy else 200
    if is_fragment(request):
        response = render(request, "alerts/list/page.html#results", context, status=status)
        if "query" in request.GET:
            response["HX-Push-Url"] = address
        return response
    return render(request, "alerts/list/page.html", context | _surroundings(user), status=status)


def _surroundings(user: User) -> dict[str, Any]:
    """Return the context of what surrounds the results."""
    views = [(view, _view_line(view)) for view in SavedView.objects.filter(user=user)]
    return {"open_alerts": alert_list.open_alerts(user), "views": views}


def _view_line(view: SavedView) -> str:
    """Return a saved view as a query line; also of one with filters that there are no longer."""
    try:
        return print_line(read_filters(QueryDict(view.query)))
    except QueryInvalid as error:
        return error.line


def _refused(request: HttpRequest, error: QueryInvalid) -> HttpResponse:
    """Show why the query cannot be read: the line as typed, or the address's filters as a line."""
    user = signed_in_user(request)
    context = _results(request, Filters(), is_refused=True)
    context |= {"line": error.line, "query_error": str(error.detail)}
    if is_fragment(request):
        return render(request, "alerts/list/page.html#results", context, status=UNPROCESSABLE)
    return render(request, "alerts/list/page.html", context | _surroundings(user), status=UNPROCESSABLE)


def _address(request: HttpRequest, filters: Filters) -> str:
    """Return the address of the list with the filters one by one, whichever way they were sent."""
    kept = [(name, request.GET[name]) for name in ("sort", "group", "view") if request.GET.get(name)]
    query = urlencode([*filters.pairs(), *kept])
    return f"{reverse('alerts:list')}{'?' if query else ''}{query}"


def completions(request: HttpRequest) -> HttpResponse:
    """Show what completes the query line (`line`) at the `caret`."""
    line, caret = request.GET.get("line", ""), bounded_int(request.GET.get("caret", ""))
    found = query_completions(signed_in_user(request), line, len(line) if caret is None else caret)
    return render(request, "alerts/list/completions.html", {"completions": found})


def _results(request: HttpRequest, filters: Filters, *, is_refused: bool = False) -> dict[str, Any]:
    """Return the context of the results: pills, rows or groups, and links to other pages.

    Without rows where the query `is_refused`: those of no filter would pass for what it found.
    """
    user, chosen = signed_in_user(request), read_sort_order(request.GET)
    preference = list_preference(user)
    if chosen and _is_choice(request, filters) and str(chosen) != preference.sort:
        remember_order(user, chosen)
    since = alert_list.last_settled(user)
    group = request.GET.get("group", "")
    group = group if group in alert_groups.GROUPINGS else ""
    shows_incidents = not group and _view(request, preference) == INCIDENTS
    kept = [("sort", str(chosen))] if chosen else []
    shown = pills(user, filters, request.GET.get("add", ""))
    context = {
        "filters": filters,
        "line": print_line(with_names(filters, shown)),
        "pills": shown,
        "addable": addable_filters(filters),
        "kept": kept + ([("group", group)] if group else [("view", INCIDENTS)] if shows_incidents else []),
        "shows_incidents": shows_incidents,
        "recent": RECENT,
        "group": group,
        "groupings": alert_groups.GROUPINGS,
        "since": since,
        # Before the rows are read: an alert that opens in between is announced although it is already shown.
        "known": ",".join(map(str, alert_list.unsettled_alerts(user, since))),
        "can_triage": user.can_triage,
        "is_compact": preference.is_compact,
    }
    if is_refused:
        return context
    if group:
        return {**context, **_groups(request, filters, group)}
    if shows_incidents:
        return {**context, **_incidents(request, filters)}
    return {**context, **_rows(request, filters, chosen or usual_order(preference, filters))}


def _is_choice(request: HttpRequest, filters: Filters) -> bool:
    """Return whether the user has just selected a heading: not a saved view, a link, the next page or a search."""
    return is_fragment(request) and not filters.q and not {"after", "query"} & set(request.GET)


def _view(request: HttpRequest, preference: ListPreference) -> str:
    """Return the view that is asked for, and remember it where the user has just selected it.

    A list that nothing is asked of opens as the user left it; a link to some alerts shows those.
    """
    view = request.GET.get("view", "")
    if view not in VIEWS:
        return "" if request.GET else preference.view
    wanted = "" if view == ALERTS else view
    if is_fragment(request) and wanted != preference.view and not {"after", "query"} & set(request.GET):
        remember_view(signed_in_user(request), wanted)
    return wanted


def _groups(request: HttpRequest, filters: Filters, group: str) -> dict[str, Any]:
    """Return the context of a page of groups; with `all` in the query, of the groups of all matches."""
    after, everything = bounded_int(request.GET.get("after", "")) or 0, "all" in request.GET
    found = alert_groups.group_page(signed_in_user(request), filters, group, after, everything=everything)
    every = f"?{urlencode([*filters.pairs(), ('group', group), ('all', 'yes')])}"
    link = every if everything else every.removesuffix("&all=yes")
    return {
        "grouped": found,
        "newest": alert_groups.NEWEST,
        "seconds": FULL_SCAN_SECONDS,
        "every": every,
        "next": f"{link}&after={found.next}" if found.next else "",
        "first": link if after else "",
    }


def _incidents(request: HttpRequest, filters: Filters) -> dict[str, Any]:
    after = request.GET.get("after", "")
    page = incident_list.incident_page(signed_in_user(request), filters, after)
    link = f"?{urlencode([*filters.pairs(), ('view', INCIDENTS)])}"
    return {
        "incidents": page.rows,
        "partial": page.partial,
        "newest": incident_list.NEWEST,
        "next": f"{link}&after={page.next}" if page.next else "",
        "first": link if after else "",
    }


def _rows(request: HttpRequest, filters: Filters, sort: SortOrder) -> dict[str, Any]:
    user, after = signed_in_user(request), request.GET.get("after", "")
    page = alert_list.alert_page(user, filters, sort, after)
    return {
        "columns": [_column(name, label, sort, filters) for name, label in COLUMNS],
        "alerts": alert_list.alert_rows(user, page.alerts, filters),
        "next": _link(filters, sort, page.next) if page.next else "",
        "first": _link(filters, sort) if after else "",
    }


def density(request: HttpRequest) -> HttpResponse:
    """Remember whether the user wants compact rows, and show the list again."""
    set_density(signed_in_user(request), is_compact=request.POST.get("rows") == "compact")
    address = f"{reverse('alerts:list')}?{request.POST.get('query', '').lstrip('?')}"
    # Django refuses to redirect to a longer one.
    return redirect(address if len(iri_to_uri(address)) <= MAX_URL_REDIRECT_LENGTH else "alerts:list")


def selection(request: HttpRequest) -> HttpResponse:
    """Select all alerts that match, up to the most that one change can take, each at its current revision."""
    user = signed_in_user(request)
    found = alert_list.matching_alerts(user, read_filters(request.GET)).order_by("-pk")
    chosen = list(found.values_list("pk", "revision")[:MAX_BULK])
    return render(request, "alerts/list/selection.html", {"chosen": chosen, "limit": MAX_BULK})


def _link(filters: Filters, sort: SortOrder, after: str = "") -> str:
    pairs = [*filters.pairs(), ("sort", str(sort))]
    if after:
        pairs.append(("after", after))
    return f"?{urlencode(pairs)}"


def _column(name: str, label: str, sort: SortOrder, filters: Filters) -> dict[str, str]:
    """Return a heading whose link sorts by it: newest first or A to Z, then in reverse."""
    if not name:
        return {"label": label}
    here = sort.name == name
    other = SortOrder(name, descending=not sort.descending if here else name in GREATEST_FIRST)
    direction = ("descending" if sort.descending else "ascending") if here else "none"
    return {"name": name, "label": label, "link": _link(filters, other), "direction": direction}


def live(request: HttpRequest) -> HttpResponse:
    """Return what an open list polls: numbers of new alerts, the rows it shows, and the tiles. 304 without a change.

    `since` is the last number that the page knows, `shown` the numbers of its rows, comma-separated.
    """
    user, filters = signed_in_user(request), read_filters(request.GET)
    shown = [pk for digits in request.GET.get("shown", "").split(",") if (pk := bounded_int(digits)) is not None]
    since = bounded_int(request.GET.get("since", ""))
    new = [] if since is None else alert_list.new_alerts(alert_list.matching_alerts(user, filters), since)
    rows, open_alerts = alert_list.alert_rows(user, shown[:PAGE_SIZE], filters), alert_list.open_alerts(user)
    etag = facts_etag(new, rows, open_alerts, user.can_triage)
    return not_modified(request, etag) or JsonResponse(
        {
            "new": new,
            "rows": {row["pk"]: _row(row, user) for row in rows},
            "summary": visible_html(
                render_to_string("alerts/list/summary.html", {"open_alerts": open_alerts}, request)
            ),
        },
        headers={"ETag": etag},
    )


def _row(row: alert_list.AlertRow, user: User) -> str:
    # In JSON, which the middleware of pages leaves as it is.
    return visible_html(render_to_string("alerts/list/row.html", {"alert": row, "can_triage": user.can_triage}))
