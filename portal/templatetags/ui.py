"""Template tags for every page: icons of the sprite, times in UTC."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince

from drift.web.page_parts import icon, one_line
from sensor.names.visible_text import has_mixed_scripts
from sensor.version import VERSION

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

register = template.Library()
register.simple_tag(icon)
register.filter(one_line)


@register.simple_tag
def lookalikes(text: str | None) -> SafeString | str:
    """Return a mark where a word has letters that look like Latin ones, as a false `apt` has."""
    title = "Letters of several scripts or styles, which look alike"
    if not has_mixed_scripts(text or ""):
        return ""
    return format_html(' <span class="badge warning" title="{}">Mixed scripts</span>', title)


@register.simple_tag
def version() -> str:
    """Return the portal's version with its commit."""
    return VERSION


@register.filter
def ago(value: dt.datetime | None) -> SafeString | str:
    """Return a time element as `5 minutes ago`, with the exact time in UTC on hover; a dash for None."""
    if value is None:
        return "–"
    moment = value.astimezone(dt.UTC)
    shown = "just now" if timezone.now() - moment < dt.timedelta(minutes=1) else f"{timesince(moment, depth=1)} ago"
    exact = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(timespec="seconds"), exact, shown)


@register.filter
def utc(value: dt.datetime | None, precision: str = "seconds") -> SafeString | str:
    """Return a time element in UTC to the second, or to the minute with `minutes`; a dash for None."""
    if value is None:
        return "–"
    moment = value.astimezone(dt.UTC)
    shown = f"{moment:%Y-%m-%d %H:%M} UTC" if precision == "minutes" else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec=precision), shown)
