"""The filters and open branches of the tree of Environment settings, from a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.http import HttpRequest, QueryDict

from drift.fleet.models import Provider
from drift.fleet.queries.estate_tree import MAX_SHOWN, SHOWN, TreeFilters, Trouble
from drift.web.requests import bounded_int

MAX_QUERY: Final = 256
MAX_OPEN: Final = 100
"""Environments, and clusters, that are open at once; beyond it the first ones close."""


def tree_filters(request: HttpRequest) -> TreeFilters:
    """Return the filters from the query string, or from the form that a change was sent with; ignore invalid values.

    `open` and `cluster` list the open branches, `toggle` (`environment-5`, `cluster-9`) changes one of them. An empty
    `open` means that none is open; without `open` the tree decides.
    """
    params = request.POST if request.method == "POST" else request.GET
    cloud, trouble = params.get("cloud", ""), params.get("only", "")
    return TreeFilters(
        query=params.get("q", "").replace("\0", "").strip()[:MAX_QUERY],  # PostgreSQL rejects NUL.
        cloud=Provider(cloud) if cloud in Provider.values else None,
        trouble=Trouble(trouble) if trouble in Trouble.values else None,
        retired=params.get("retired") == "1",
        shown=max(SHOWN, min(bounded_int(params.get("shown", "")) or SHOWN, MAX_SHOWN)),
        opened=_opened(params, "open", "environment-") if "open" in params else None,
        clusters=_opened(params, "cluster", "cluster-"),
    )


def _opened(params: QueryDict, name: str, prefix: str) -> frozenset[int]:
    opened = dict.fromkeys(_ids(params.getlist(name)))
    toggles = (value.removeprefix(prefix) for value in params.getlist("toggle") if value.startswith(prefix))
    for pk in _ids(toggles):
        if pk in opened:
            del opened[pk]
        else:
            opened[pk] = None
    return frozenset(list(opened)[-MAX_OPEN:])


def _ids(values: Iterable[str]) -> list[int]:
    return [number for value in values if (number := bounded_int(value)) is not None]
