"""What a check found."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

State = Literal["ok", "failing", "not_checked"]
STATES: Final[tuple[str, ...]] = get_args(State)


@dataclass(frozen=True)
class CheckOutcome:
    """The result of one check: `detail` is what it found, or why it could not check; `since` None: not known."""

    state: State
    detail: str = ""
    since: dt.datetime | None = None
    count: int = 0
    sensors: list[object] = field(default_factory=list)
    is_named: bool = False
    """With another `detail` it is another thing that happened, of which people are notified anew."""


def ok(detail: str = "") -> CheckOutcome:
    """Return that all is well."""
    return CheckOutcome("ok", detail)


def failing(
    detail: str = "", since: dt.datetime | None = None, count: int = 0, *, is_named: bool = False
) -> CheckOutcome:
    """Return that the condition holds."""
    return CheckOutcome("failing", detail, since, count, is_named=is_named)


def not_checked(reason: str) -> CheckOutcome:
    """Return that nothing is known, and why: never the same as well."""
    return CheckOutcome("not_checked", reason)
