"""What the values of filters may be, and what times, paths and hashes in them mean."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Final

from drift.alerts.domain.filters import ANY, CHOICES
from sensor.policy.drift_kinds import DRIFT_KINDS

SHA256: Final = re.compile("[0-9a-f]{64}")
HASH_PREFIX: Final = re.compile("[0-9a-f]{8,63}")
UNITS: Final = {
    "m": dt.timedelta(minutes=1),
    "h": dt.timedelta(hours=1),
    "d": dt.timedelta(days=1),
    "w": dt.timedelta(weeks=1),
}
AGE: Final = re.compile("([0-9]{1,4})([mhdw])")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MINUTE: Final = re.compile(rf"{_DATE.pattern}T[0-9]{{2}}:[0-9]{{2}}")
PROVIDERS: Final = ("azure", "aws", "gcp")
"""The values of fleet.models.Provider; a test holds them equal."""
VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    **CHOICES,
    "status": (*CHOICES["status"], ANY),
    "provider": PROVIDERS,
    "kind": tuple(kind.name for kind in DRIFT_KINDS),
    "mentions": ("me",),
    "sample": ("yes", "no"),
}
"""The values of the filters that have only some."""
PRIORITY_BANDS: Final = {"urgent": 75, "raised": 50, "usual": 25, "calm": 0}
"""The least priority of each band, the highest band first."""
MONTH: Final = re.compile(r"[1-9][0-9]{3}-(0[1-9]|1[0-2])")
EARLIEST: Final = dt.datetime(2, 1, 1, tzinfo=dt.UTC)
LATEST: Final = dt.datetime(9998, 12, 1, tzinfo=dt.UTC)
_NUMBER: Final = "[0-9]{1,18}"
_IN_ADDRESS: Final = r"[^\x00-\x20\x7f@]+"
"""Each character named: what `\\s` stands for differs between Python, JavaScript and others that read the schema."""
_PERSON: Final = rf"{_NUMBER}|me|none|{_IN_ADDRESS}@{_IN_ADDRESS}"
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "binary": (_NUMBER, "a number"),
    "incident": (f"{_NUMBER}|none", "a number, or none"),
    "assignee": (_PERSON, "me, none, an email address or a number"),
    "closed_by": (_PERSON, "me, none, an email address or a number"),
    "hash": ("[0-9a-fA-F]{8,64}", "8 to 64 hexadecimal digits"),
    "hour": ("[1-7]-([01]?[0-9]|2[0-3])", "a weekday (Monday is 1) and an hour, as in 3-14"),
    "priority": (
        rf"{'|'.join(PRIORITY_BANDS)}|(100|[0-9]{{1,2}})\+",
        "urgent, raised, usual, calm, or a least one, as in 60+",
    ),
    "sensor": (r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", "the id of a sensor"),
}
FORMS: Final = {name: re.compile(form) for name, (form, _) in _FORMS.items()}
"""The form of the values of other filters. Filters that are not here have any values."""


def value_error(name: str, value: str) -> str | None:
    """Return what the filter's values are, where `value` is not one: the end of a sentence."""
    if name in VALUES:
        return None if value in VALUES[name] else f"one of {', '.join(VALUES[name])}"
    if name in _TIMES:
        read, expected = _TIMES[name]
        return None if read(value) is not None else expected
    if name in FORMS:
        return None if FORMS[name].fullmatch(value) else _FORMS[name][1]
    return None


def priority_range(value: str) -> tuple[int, int] | None:
    """Return the least and the greatest priority of a band, or of "60+"; None for anything else."""
    if value in PRIORITY_BANDS:
        least = PRIORITY_BANDS[value]
        return least, min((above - 1 for above in PRIORITY_BANDS.values() if above > least), default=100)
    return (int(value[:-1]), 100) if FORMS["priority"].fullmatch(value) else None


def filter_age(value: str) -> dt.timedelta | None:
    """Return the length of time of "30m", "12h", "2d" or "1w"; None for anything else."""
    found = AGE.fullmatch(value)
    return int(found[1]) * UNITS[found[2]] if found else None


def filter_span(value: str) -> tuple[dt.datetime, dt.datetime] | None:
    """Return first moment and end (UTC) of a day ("2026-11-29") or minute ("2026-11-29T16:30"); None for others."""
    if not (_DATE.fullmatch(value) or _MINUTE.fullmatch(value)):
        return None
    try:
        first = dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    # Near the first and last year a time zone conversion or an added day would overflow; nothing happened there.
    first = min(max(first, EARLIEST), LATEST)
    return first, first + (dt.timedelta(days=1) if _DATE.fullmatch(value) else dt.timedelta(minutes=1))


def closed_span(value: str) -> tuple[dt.datetime, dt.datetime] | None:
    """Return first moment and end (UTC) of a month ("2026-11") or day ("2026-11-29"); None for others."""
    if not MONTH.fullmatch(value):
        return _day(value)
    first = filter_span(f"{value}-01")
    return (first[0], (first[0] + dt.timedelta(days=31)).replace(day=1)) if first else None


def _day(value: str) -> tuple[dt.datetime, dt.datetime] | None:
    return filter_span(value) if _DATE.fullmatch(value) else None


_AGES: Final = (filter_age, "a number of m, h, d or w, as in 2d")
_MOMENTS: Final = (filter_span, "a date, or a date and time (UTC), as in 2026-11-29T16:30")
_TIMES: Final[Mapping[str, tuple[Callable[[str], object | None], str]]] = {
    "newer": _AGES,
    "older": _AGES,
    "from": _MOMENTS,
    "until": _MOMENTS,
    "day": (_day, "a date, as in 2026-11-29"),
    "closed": (closed_span, "a month or a day, as in 2026-11"),
}
"""What reads the values of filters by time, and what they are."""


def like_pattern(value: str) -> str:
    """Return the pattern for SQL's LIKE of a value in which `*` stands for any characters."""
    escaped = value.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return re.sub(r"\*+", "%", escaped)
