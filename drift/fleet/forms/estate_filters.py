"""What a request says about the tree of Environment settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.http import HttpRequest, QueryDict

from drift.fleet.models import Provider
from drift.fleet.queries.estate_tree import MAX_SHOWN, SHOWN, TreeFilters, Trouble

QUERY_MOST: Final = 256
OPEN_MOST: Final = 100
"""Environments, and clusters, open at once: past it the first ones close."""
_DIGITS: Final = 18
"""All that fit a bigint."""


def tree_filters(request: HttpRequest) -> TreeFilters:
    """From the URL, or the form that a change was sent with.

    `open` and `cluster` name what is open, `toggle` (`environment-5`, `cluster-9`) what changes in that.
    An empty `open` says that nothing is; without any the tree decides. What is not understood is not asked.
    """
    params = request.POST if request.method == "POST" else request.GET
    cloud, only = params.get("cloud", ""), params.get("only", "")
    shown = _numbers([params.get("shown", "")])
    return TreeFilters(
        query=params.get("q", "").replace("\0", "").strip()[:QUERY_MOST],  # PostgreSQL takes no NUL
        cloud=Provider(cloud) if cloud in Provider.values else None,
        only=Trouble(only) if only in Trouble.values else None,
        retired=params.get("retired") == "1",
        shown=max(SHOWN, min(shown[0], MAX_SHOWN)) if shown else SHOWN,
        opened=_opened(params, "open", "environment-") if "open" in params else None,
        clusters=_opened(params, "cluster", "cluster-"),
    )


def _opened(params: QueryDict, name: str, prefix: str) -> frozenset[int]:
    opened = dict.fromkeys(_numbers(params.getlist(name)))
    for each in _numbers(text.removeprefix(prefix) for text in params.getlist("toggle") if text.startswith(prefix)):
        if each in opened:
            del opened[each]
        else:
            opened[each] = None
    return frozenset(list(opened)[-OPEN_MOST:])


def _numbers(texts: Iterable[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= _DIGITS]
