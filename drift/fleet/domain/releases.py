"""Releases of sensors beside that of the portal (docs/upgrade.md#versions-side-by-side)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:\+g([0-9a-f]{7,40}))?", re.ASCII)


class Release(NamedTuple):
    """A version as sensors and portal report it, for example `0.2.0+g1a2b3c4d`."""

    major: int
    minor: int
    patch: int
    commit: str = ""

    @property
    def number(self) -> str:
        """The release without its commit."""
        return f"{self.major}.{self.minor}.{self.patch}"


class Age(StrEnum):
    """A sensor's release beside the portal's."""

    CURRENT = "current"
    OTHER_BUILD = "other build"
    OLD = "old"
    UNSUPPORTED = "unsupported"
    NEWER = "newer"
    UNKNOWN = "unknown"


def parsed_release(version: str) -> Release | None:
    """Return the release that a version names; None where it names none."""
    found = _VERSION.fullmatch(version)
    return Release(int(found[1]), int(found[2]), int(found[3]), found[4] or "") if found else None


def age_of_release(sensor: Release | None, portal: Release) -> Age:
    """Return how a sensor's release stands to the portal's: that and the minor release before work together."""
    if sensor is None:
        return Age.UNKNOWN
    if sensor[:3] == portal[:3]:
        return Age.CURRENT if sensor.commit == portal.commit else Age.OTHER_BUILD
    if sensor[:3] > portal[:3]:
        return Age.NEWER
    return Age.OLD if sensor.major == portal.major and sensor.minor >= portal.minor - 1 else Age.UNSUPPORTED
