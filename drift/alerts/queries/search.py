"""The search box: a walk along the newest alerts where many have the text, the trigram index where few do.

The index lists all that have a text before the first is shown, and reads a list of alerts for each three letters of it:
of a million alerts that takes longer the commoner the text is. A walk takes longer the rarer it is. So a short walk
tells which it is to be, and neither goes on for long.
"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce, Concat
from django.db.models.lookups import Contains

from drift.alerts.models import Alert, AlertDetail
from drift.alerts.queries import paging
from drift.alerts.queries.filters import RECENT
from drift.alerts.queries.paging import DEFAULT_SORT, Page, Place, Sort

ORDER: Final = Sort.read(DEFAULT_SORT)
PROBE: Final = 2_000
"""Alerts that are looked through to see how common a text is."""
LONGER: Final = 6_000
"""Alerts that are looked through after those, where that will likely find a page."""
FEW: Final = 10
"""As many found by a walk are a page, though not a full one: where it ended the next page goes on."""
EDGE: Final = 16
"""Of a longer text the index looks for the first and the last so many letters; rows are compared with all of it."""


def recent(found: QuerySet[Alert], text: str) -> QuerySet[Alert]:
    """Of the newest RECENT alerts of `found` those with the text, looked through from the newest, without its index."""
    newest = found.order_by("-first_seen", "-pk").values_list("first_seen", flat=True)
    first = newest[RECENT : RECENT + 1].first()
    return having(found if first is None else found.filter(first_seen__gt=first), text)


def having(found: QuerySet[Alert, Any], text: str) -> QuerySet[Alert, Any]:
    """Those with the text, one after the other: a page ends with the last that it needs, and none is read before."""
    search = AlertDetail.objects.filter(alert=OuterRef("pk")).values("search")
    return found.filter(Contains(Coalesce(Subquery(search), Value(""), output_field=TextField()), text))


def by_index(found: QuerySet[Alert], text: str) -> QuerySet[Alert]:
    """Those with the text by its index, which takes as long as the text that it is asked for."""
    if len(text) <= 2 * EDGE:
        return found.filter(detail__search__contains=text)
    edges = found.filter(detail__search__contains=text[:EDGE]).filter(detail__search__contains=text[-EDGE:])
    return edges.filter(Contains(Concat("detail__search", Value(""), output_field=TextField()), text))


def walked(found: QuerySet[Alert], text: str, after: str, size: int) -> Page | None:
    """The page after a place in the order of DEFAULT_SORT, by walking; None where the index will be quicker.

    It may be a page of at least FEW that is shorter than `size` and yet not the last.
    """
    place = Place.read(ORDER, after)
    rest = found.filter(paging.after_start(place)) if place else found
    page = _walk(rest, text, size, PROBE)
    place = Place.read(ORDER, page.next or "")
    if place is None or len(page.alerts) == size:
        return page
    if len(page.alerts) * (PROBE + LONGER) < FEW * PROBE:
        return None
    more = _walk(found.filter(paging.after_start(place)), text, size - len(page.alerts), LONGER)
    page = Page(page.alerts + more.alerts, more.next)
    return page if page.next is None or len(page.alerts) >= FEW else None


def _walk(rest: QuerySet[Alert], text: str, size: int, most: int) -> Page:
    """What the first `most` alerts have; the next page starts behind those, or behind a page that is full before."""
    in_order = rest.order_by("-first_seen", "-pk").values_list("first_seen", "pk")
    last = in_order[most - 1 : most].first()
    looked_at = in_order.filter(paging.until_start(Place("", *last))) if last else in_order
    rows = list(having(looked_at, text)[: size + 1])
    end = rows[size - 1] if len(rows) > size else last
    return Page([pk for _, pk in rows[:size]], Place("", *end).write(ORDER) if end else None)
