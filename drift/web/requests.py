"""The sender of a request, whether it wants a fragment, and bounded numbers from its strings."""

from __future__ import annotations

from typing import Final, cast

from django.http import HttpRequest
from rest_framework.request import Request

from accounts.models import User

MAX_BIGINT: Final = 2**63 - 1
"""The greatest value of a PostgreSQL bigint: a larger number would make the query fail instead of finding nothing."""


def signed_in_user(request: HttpRequest | Request) -> User:
    """Return the user. The permission table (`portal.access`) has already rejected anonymous requests."""
    return cast("User", request.user)


def is_fragment(request: HttpRequest) -> bool:
    """Return whether htmx requests a part of the page.

    False when htmx restores a page from its history: then it needs the whole page, although it sends the same header.
    """
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-History-Restore-Request") != "true"


def bounded_int(string: str, *, maximum: int = MAX_BIGINT) -> int | None:
    """Return the number that `string` holds in ASCII digits, None for anything else or beyond `maximum`.

    `str.isdigit` alone accepts "²", which `int` rejects; the length check keeps `int` from reading megabytes of digits.
    """
    if not (string.isascii() and string.isdigit() and len(string) <= len(str(maximum))):
        return None
    number = int(string)
    return number if number <= maximum else None
