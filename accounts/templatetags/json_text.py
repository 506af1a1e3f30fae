"""Format values and texts from outside for display."""

from __future__ import annotations

import json
from typing import Any, Final

from django import template

from sensor.names.visible_text import visible_text

register = template.Library()

MAX_SHOWN: Final = 5_000


@register.filter
def pretty(value: Any) -> str:
    """Return a value as text: a string as it is, anything else as indented JSON, a dash for None; bounded."""
    text = (
        "–" if value is None else value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    )
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " …"


@register.filter
def visible(text: object) -> str:
    """Return the text with invisible characters escaped."""
    return visible_text(str(text), several_lines=True)
