"""Releases of sensor and portal, as they report them: `0.2.0+g1a2b3c4d`."""

from __future__ import annotations

import re
from typing import Final

_RELEASE: Final = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:\D|$)")


def is_older(version: str, than: str) -> bool:
    """Return whether one release is older than another; the commit makes no difference, nor does what is no release."""
    one, other = _RELEASE.match(version), _RELEASE.match(than)
    return bool(one and other and _numbers(one) < _numbers(other))


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(part) for part in match.groups())
