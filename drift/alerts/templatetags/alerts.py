"""How the pages of alerts show numbers, times, JSON and Markdown."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import nh3
from django import template
from django.utils.safestring import mark_safe
from markdown_it import MarkdownIt

from drift.alerts.domain.alert_wording import MAX_COUNT
from drift.alerts.domain.filter_values import PRIORITY_BANDS
from drift.alerts.domain.filters import OUTCOMES
from sensor.names.visible_text import visible_json

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

register = template.Library()
TAGS = {"a", "blockquote", "br", "code", "em", "li", "ol", "p", "pre", "strong", "ul"}
_markdown = MarkdownIt("commonmark", {"html": False})


@register.filter
def bounded(count: int) -> str:
    """Return a count of at most MAX_COUNT, "10,000+" beyond it."""
    return f"{MAX_COUNT:,}+" if count > MAX_COUNT else f"{count:,}"


@register.filter
def score_band(priority: int) -> str:
    """Return the class of a priority: how urgent its colour looks."""
    return next(name for name, least in PRIORITY_BANDS.items() if priority >= least)


@register.filter
def thousands(count: int) -> str:
    """Return a count in groups of three digits."""
    return f"{count:,}"


@register.filter
def compact(count: int) -> str:
    """Return a count in few characters: 999, 12k, 3M."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count // size}{letter}"
    return str(count)


@register.filter
def instant(value: dt.datetime) -> SafeString:
    """Return a time element in UTC, to the millisecond: of execs that follow one another."""
    text = value.astimezone(dt.UTC).isoformat(timespec="milliseconds")
    return mark_safe(f'<time datetime="{text}">{text[:10]} {text[11:23]}</time>')  # noqa: S308 - only digits


@register.filter
def minute(value: dt.datetime | None) -> SafeString | str:
    """Return a time element in UTC, to the minute; a dash for None."""
    if value is None:
        return "–"
    text = value.astimezone(dt.UTC).isoformat(timespec="seconds")
    return mark_safe(f'<time datetime="{text}">{text[:10]} {text[11:16]}</time>')  # noqa: S308 - only digits


@register.filter
def pretty(value: object) -> str:
    """Return indented JSON, its hidden characters escaped: people paste it where others read it."""
    return visible_json(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False))


@register.filter
def words(value: str) -> str:
    """Return a code in words: "New file" for new_file."""
    return value.replace("_", " ").capitalize()


@register.filter
def outcome(value: str) -> str:
    """Return the outcome of an exec as its filter labels it."""
    return OUTCOMES.get(value, value)


@register.filter
def duration(length: dt.timedelta | None) -> str:
    """Return a length of time in its largest unit; a dash for None."""
    if length is None:
        return "–"
    for seconds, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if length.total_seconds() >= seconds:
            return f"{length.total_seconds() / seconds:.1f} {unit}"
    return f"{length.total_seconds():.0f} s"


@register.filter
def bar_x(position: int) -> int:
    """Return the x coordinate of a histogram bar: bars are ten units apart."""
    return position * 10


@register.filter
def bar_y(height: int) -> int:
    """Return the y coordinate of a histogram bar, which SVG counts from the top."""
    return 100 - height


@register.filter
def markdown(text: str) -> SafeString:
    """Return a comment's Markdown as sanitized HTML."""
    return mark_safe(nh3.clean(_markdown.render(text), tags=TAGS, attributes={"a": {"href"}}))  # noqa: S308 - by nh3
