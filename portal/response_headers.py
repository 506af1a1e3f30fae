"""The headers that keep responses out of caches, and parts of a page apart from the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

CHOOSE_THE_PART: Final = ("HX-Request", "HX-History-Restore-Request")
"""The request headers by which a view returns a part of the page at the page's own URL (`drift.web.requests`)."""


class NoStoreMiddleware:
    """Send `Cache-Control: no-store`, unless a view chose otherwise: a stolen laptop must not hold the last pages.

    `Vary` names what makes the response a part of a page: no cache may return it for the page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        patch_vary_headers(response, CHOOSE_THE_PART)
        return response
