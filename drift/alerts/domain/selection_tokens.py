"""What a checkbox sends for an incident: which alerts the page showed, each at which revision, in a few characters."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

TOKEN: Final = re.compile(r"incident-([0-9]{1,18}):([0-9]{1,18})-([0-9a-f]{32})")


class AlertState(NamedTuple):
    """An alert of an incident as a page showed it."""

    pk: int
    revision: int
    status: str
    at: dt.datetime


class IncidentChoice(NamedTuple):
    """An incident that was chosen, the number of its newest alert then, and the digest of its alerts."""

    incident: int
    newest: int
    digest: str


def selection_token(incident: int, alerts: Iterable[AlertState]) -> str:
    """Return the token of an incident with these alerts: at least one."""
    many = list(alerts)
    return f"incident-{incident}:{max(each.pk for each in many)}-{alerts_digest(many)}"


def read_token(token: str) -> IncidentChoice | None:
    """Return what was chosen; None for a string that is not a token."""
    found = TOKEN.fullmatch(token)
    return IncidentChoice(int(found[1]), int(found[2]), found[3]) if found else None


def alerts_digest(alerts: Iterable[AlertState]) -> str:
    """Return 128 bits of SHA-256 over the alerts' numbers and revisions, in any order."""
    pairs = sorted((each.pk, each.revision) for each in alerts)
    return hashlib.sha256(repr(pairs).encode()).hexdigest()[:32]
