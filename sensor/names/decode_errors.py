"""Which field of a request an error of its decoder is about."""

from __future__ import annotations

import re


def error_field(error: Exception) -> str | None:
    """Return the field that a msgspec error is about, such as `process.argv[3]`; None for the whole value."""
    missing = re.search(r"missing required field `(\w+)`", str(error))
    place = re.search(r"`\$\.?([^`]*)`$", str(error))
    return ".".join(found[1] for found in (place, missing) if found and found[1]) or None
