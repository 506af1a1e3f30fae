"""The search box: walks along the newest alerts for common strings, and uses the trigram index for rare ones.

The index lists every match before the first one is shown, and reads a posting list for each trigram of the string: of a
million alerts that takes longer the more common the string is. A walk takes longer the rarer it is. So a short walk
first measures how common the string is, and neither runs for long.
"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce, Concat
from django.db.models.lookups import Contains

from drift.alerts.domain.sort_order import NEWEST_FIRST, SortOrder
from drift.alerts.models import Alert, AlertDetail
from drift.alerts.queries.alert_pages import AlertPage, AlertPosition, rows_behind, rows_through

ORDER: Final = SortOrder.parse(NEWEST_FIRST)
RECENT: Final = 10_000
"""Newest alerts that a search without the index looks through."""
PROBE: Final = 2_000
"""Alerts that the first walk looks through, to estimate how common a string is."""
EXTENSION: Final = 6_000
"""Alerts that a second walk looks through, where it will probably fill a page."""
MIN_PAGE: Final = 10
"""Matches of a walk that are enough for a page, although not a full one: the next page continues where it ended."""
EDGE: Final = 16
"""Characters at either end of a long string that the index searches; rows are then compared with the whole string."""


def recent_matches(found: QuerySet[Alert], string: str) -> QuerySet[Alert]:
    """Return the matches among the newest RECENT alerts of `found`, without the index: for one or two characters."""
    newest = found.order_by("-first_seen", "-pk").values_list("first_seen", flat=True)
    first = newest[RECENT : RECENT + 1].first()
    return matches_row_by_row(found if first is None else found.filter(first_seen__gt=first), string)


def indexed_matches(found: QuerySet[Alert], string: str) -> QuerySet[Alert]:
    """Return the matches by the trigram index, whose cost grows with the length of the string it searches."""
    if len(string) <= 2 * EDGE:
        return found.filter(detail__search__contains=string)
    edges = found.filter(detail__search__contains=string[:EDGE]).filter(detail__search__contains=string[-EDGE:])
    # The empty suffix makes it an expression, which no index holds: the planner compares the few rows it has.
    return edges.filter(Contains(Concat("detail__search", Value(""), output_field=TextField()), string))


def walked_page(found: QuerySet[Alert], string: str, cursor: str, size: int) -> AlertPage | None:
    """Return the page behind a cursor, newest first, by walking; None where the index will be faster.

    A page of at least MIN_PAGE may be shorter than `size` and yet not be the last.
    """
    after = AlertPosition.read(ORDER, cursor)
    page = _walk(found.filter(rows_behind(after)) if after else found, string, size, PROBE)
    end = AlertPosition.read(ORDER, page.next or "")
    if end is None or len(page.alerts) == size:
        return page
    if len(page.alerts) * (PROBE + EXTENSION) < MIN_PAGE * PROBE:
        return None
    more = _walk(found.filter(rows_behind(end)), string, size - len(page.alerts), EXTENSION)
    page = AlertPage(page.alerts + more.alerts, more.next)
    return page if page.next is None or len(page.alerts) >= MIN_PAGE else None


def _walk(rest: QuerySet[Alert], string: str, size: int, limit: int) -> AlertPage:
    """Return the matches in the first `limit` alerts; the next page starts behind those, or behind a full page."""
    in_order = rest.order_by("-first_seen", "-pk").values_list("first_seen", "pk")
    last = in_order[limit - 1 : limit].first()
    walked = in_order.filter(rows_through(AlertPosition("", *last))) if last else in_order
    rows = list(matches_row_by_row(walked, string)[: size + 1])
    end = rows[size - 1] if len(rows) > size else last
    return AlertPage([pk for _, pk in rows[:size]], AlertPosition("", *end).cursor(ORDER) if end else None)


def matches_row_by_row(found: QuerySet[Alert, Any], string: str) -> QuerySet[Alert, Any]:
    """Return the matches, compared one after the other: of few alerts, or until a page is full."""
    # A correlated subquery is evaluated for one alert after the other and stops with the page; a join would let the
    # planner start from the trigram index.
    search = AlertDetail.objects.filter(alert=OuterRef("pk")).values("search")
    return found.filter(Contains(Coalesce(Subquery(search), Value(""), output_field=TextField()), string))
