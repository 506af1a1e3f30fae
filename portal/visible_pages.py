"""Shows hidden characters as escapes on every page, whichever template wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from drift.web.visible_html import visible_html
from sensor.names.visible_text import has_escapable

_PLAIN: Final = bytes(range(0x20, 0x7F)) + b"\t\n\r"


class VisiblePagesMiddleware:
    """Escape hidden characters in the text of HTML responses: no template has any of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html"):
            # Without what most pages consist of: searching all of a long page would take milliseconds.
            unusual = response.content.translate(None, _PLAIN).decode()
            # Its characters have lost their neighbours, without which a mark may pass for one of a letter.
            if has_escapable(unusual):
                response.content = visible_html(response.content.decode()).encode()
        return response
