"""Hidden characters of HTML as escapes, in what a reader sees of it."""

from __future__ import annotations

import re
from typing import Final

from sensor.names.visible_text import visible_text

_PARTS: Final = re.compile(
    # What a browser sends back or a program reads stays as it is: fields, scripts, tags but for what they show.
    r"(<(textarea|script|style)\b.*?</\2\s*>|<!--.*?-->|<[^>]*>)",
    re.DOTALL | re.IGNORECASE,
)
_SHOWN_ATTRIBUTE: Final = re.compile(
    r'(\s(?:title|aria-label|aria-description|alt|placeholder|label|hx-confirm|hx-prompt)=")([^"]*)"'
)


def visible_html(html: str) -> str:
    """Return the page, or the part of one, with the hidden characters of its text, titles and labels as escapes."""
    pieces = _PARTS.split(html)
    # Split by two groups: text, tag, name of the element or None, text, …
    for index in range(0, len(pieces), 3):
        pieces[index] = _visible(pieces[index])
    for index in range(1, len(pieces), 3):
        pieces[index] = _SHOWN_ATTRIBUTE.sub(lambda found: f'{found[1]}{_visible(found[2])}"', pieces[index])
    return "".join(piece for index, piece in enumerate(pieces) if index % 3 != 2)


def _visible(text: str) -> str:
    return visible_text(text, several_lines=True)
