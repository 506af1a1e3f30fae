"""What every page's template needs: icons of the sprite, times in UTC."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import TYPE_CHECKING

from django import template
from django.templatetags.static import static
from django.utils.html import format_html

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
@cache
def icon(name: str, extra: str = "") -> SafeString:
    """The icon `name` of static/icons.svg, hidden from screen readers; `extra` adds classes ("big", "plain").

    A list shows some four a row, always the same, so each is made once: templates name them, no data does.
    """
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        extra,
        static("icons.svg"),
        name,
    )


@register.filter
def utc(value: dt.datetime | None, precision: str = "seconds") -> SafeString | str:
    """A time element in UTC to the second, or with `minutes` to the minute; a dash for None."""
    if value is None:
        return "–"
    moment = value.astimezone(dt.UTC)
    shown = f"{moment:%Y-%m-%d %H:%M} UTC" if precision == "minutes" else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec=precision), shown)
