"""The methods that a URL answers: those of its view that the permission table allows (RFC 9110, `Allow`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from portal.access import Access

PAGE_METHODS: Final = ("GET", "HEAD", "POST")
"""What a view that is a function answers; it has no list of its own."""
ORDER: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def allow_header(access: Access, view: Callable[..., Any]) -> str:
    """Return the value of `Allow` for a URL, as "GET, HEAD, OPTIONS"."""
    view_class = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if view_class is None:
        known: set[str] = set(PAGE_METHODS)
    else:
        known = {method for method in ORDER if hasattr(view_class, method.lower())}
        # Django's View answers HEAD by the view's GET.
        known |= {"HEAD"} if "GET" in known else set()
    return ", ".join(method for method in ORDER if method in known and access.required(method) is not None)
