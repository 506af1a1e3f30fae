"""Shows hidden characters as escapes on every page, whichever template wrote them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from sensor.names.visible_text import hidden_character, visible_text

_PARTS: Final = re.compile(
    # What a browser sends back or a program reads stays as it is: fields, scripts, tags but for what they show.
    r"(<(textarea|script|style)\b.*?</\2\s*>|<!--.*?-->|<[^>]*>)",
    re.DOTALL | re.IGNORECASE,
)
_PLAIN: Final = bytes(range(0x20, 0x7F)) + b"\t\n\r"
_SHOWN_ATTRIBUTE: Final = re.compile(r'(\s(?:title|aria-label|alt|placeholder)=")([^"]*)"')


class VisiblePagesMiddleware:
    """Escape hidden characters in the text of HTML responses: no template has any of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        is_page = isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html")
        if is_page and isinstance(response, HttpResponse):
            # Without what most pages consist of: searching all of a long page would take milliseconds.
            unusual = response.content.translate(None, _PLAIN).decode()
            if hidden_character(unusual, several_lines=True):
                response.content = visible_page(response.content.decode()).encode()
        return response


def visible_page(html: str) -> str:
    """Return the page with the hidden characters of its text, titles and labels as escapes."""
    pieces = _PARTS.split(html)
    # Split by two groups: text, tag, name of the element or None, text, …
    for index in range(0, len(pieces), 3):
        pieces[index] = _visible(pieces[index])
    for index in range(1, len(pieces), 3):
        pieces[index] = _SHOWN_ATTRIBUTE.sub(lambda found: f'{found[1]}{_visible(found[2])}"', pieces[index])
    return "".join(piece for index, piece in enumerate(pieces) if index % 3 != 2)


def _visible(text: str) -> str:
    return visible_text(text, several_lines=True)
