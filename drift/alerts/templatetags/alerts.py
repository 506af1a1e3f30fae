"""How the pages of alerts write numbers and times."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import nh3
from django import template
from django.utils.safestring import mark_safe
from markdown_it import MarkdownIt

from drift.alerts.queries.alert_list import MANY
from drift.alerts.queries.filter_pills import OUTCOMES

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

register = template.Library()
TAGS = {"a", "blockquote", "br", "code", "em", "li", "ol", "p", "pre", "strong", "ul"}
_markdown = MarkdownIt("commonmark", {"html": False})


@register.filter
def many(count: int) -> str:
    """A count that was counted no further than MANY."""
    return f"{MANY:,}+" if count > MANY else f"{count:,}"


@register.filter
def thousands(count: int) -> str:
    """A count in groups of three digits."""
    return f"{count:,}"


@register.filter
def short(count: int) -> str:
    """A count in little room: 999, 12k, 3M."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count // size}{letter}"
    return str(count)


@register.filter
def minute(value: dt.datetime | None) -> SafeString | str:
    """A time element in UTC to the minute; a dash for None."""
    if value is None:
        return "–"
    text = value.astimezone(dt.UTC).isoformat(timespec="seconds")
    return mark_safe(f'<time datetime="{text}">{text[:10]} {text[11:16]}</time>')  # noqa: S308 - digits alone


@register.filter
def pretty(value: object) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)


@register.filter
def words(value: str) -> str:
    """A code in words: new_file is "New file"."""
    return value.replace("_", " ").capitalize()


@register.filter
def outcome(value: str) -> str:
    """What came of an execution, as the filter of that name calls it."""
    return dict(OUTCOMES).get(value, value)


@register.filter
def span(length: dt.timedelta | None) -> str:
    """A length of time in its largest unit; a dash for None."""
    if length is None:
        return "–"
    for seconds, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if length.total_seconds() >= seconds:
            return f"{length.total_seconds() / seconds:.1f} {unit}"
    return f"{length.total_seconds():.0f} s"


@register.filter
def times10(value: int) -> int:
    """The place of a bar: bars are ten apart."""
    return value * 10


@register.filter
def from100(height: int) -> int:
    """Where a bar of this height starts, counted from above."""
    return 100 - height


@register.filter
def markdown(text: str) -> SafeString:
    """A comment's Markdown as sanitised HTML."""
    return mark_safe(nh3.clean(_markdown.render(text), tags=TAGS, attributes={"a": {"href"}}))  # noqa: S308 - by nh3
