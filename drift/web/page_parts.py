"""Parts of pages that templates and code write alike: icons of the sprite, and texts of one line."""

from __future__ import annotations

from functools import cache
from typing import Final

from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sensor.names.visible_text import visible_text

SPACE: Final = r"\x20"


@cache
def icon(name: str, extra: str = "") -> SafeString:
    """Return the icon `name` of static/icons.svg, hidden from screen readers; `extra` adds classes ("big", "plain")."""
    # Cached without a bound: a list repeats some four per row, and names come from templates, never from data.
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        extra,
        static("icons.svg"),
        name,
    )


def one_line(text: str | None) -> str:
    """Return a text of one line with line breaks, tabs and outer spaces visible; all else hidden every page shows."""
    shown = visible_text(text or "")
    inner = shown.strip(" ")
    before = len(shown) - len(shown.lstrip(" "))
    return f"{SPACE * before}{inner}{SPACE * (len(shown) - len(inner) - before)}" if inner else SPACE * len(shown)
