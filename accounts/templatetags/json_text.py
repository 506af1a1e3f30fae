"""Format JSON for display."""

from __future__ import annotations

import json
from typing import Any

from django import template

register = template.Library()


@register.filter
def pretty(value: Any) -> str:
    """Return indented JSON; a dash for None."""
    return "–" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
