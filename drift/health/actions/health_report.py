"""All conditions with what of them holds now, for a viewer: what page, API and doctor show.

An action because some checks reach Redis. It changes nothing.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.db import DatabaseError, transaction

from accounts.models import User, Viewer
from accounts.roles import Role
from drift.health.actions.portal_checks import redis_checks
from drift.health.domain.conditions import BY_CODE, CONDITIONS, Condition
from drift.health.domain.outcomes import CheckOutcome, State, not_checked
from drift.health.models import ConditionStart
from drift.health.queries import storage_conditions as storage
from drift.health.queries.protection_conditions import protection_outcomes
from drift.health.queries.sensor_conditions import sensor_outcomes
from drift.health.queries.siem_condition import siem_outcome

logger = logging.getLogger(__name__)

SYSTEM: Final = User(name="Driftwatch", role=Role.OWNER)
"""The viewer of everything on behalf of no user; never stored."""


@dataclass(frozen=True)
class HealthFinding:
    """One condition and its outcome."""

    condition: Condition
    outcome: CheckOutcome


@dataclass(frozen=True)
class HealthReport:
    """The findings that the viewer may see, in the order of the list."""

    findings: list[HealthFinding]

    @property
    def failing(self) -> list[HealthFinding]:
        return [each for each in self.findings if each.outcome.state == "failing"]

    @property
    def not_checked(self) -> list[HealthFinding]:
        return [each for each in self.findings if each.outcome.state == "not_checked"]

    @property
    def well(self) -> list[HealthFinding]:
        return [each for each in self.findings if each.outcome.state == "ok"]

    @property
    def state(self) -> State:
        """`ok` only where every condition was checked and none holds."""
        return "failing" if self.failing else "not_checked" if self.not_checked else "ok"


def health_report(viewer: Viewer) -> HealthReport:
    """Return what health shows to this viewer."""
    outcomes = {**portal_outcomes(), **protection_outcomes(viewer), **sensor_outcomes(viewer)}
    seen = [condition for condition in CONDITIONS if _sees(viewer, condition)]
    starts = dict(ConditionStart.objects.visible_to(viewer).values_list("code", "began_at"))
    return HealthReport([HealthFinding(each, _dated(outcomes[each.code], starts.get(each.code))) for each in seen])


def doctor_report() -> HealthReport:
    """Return every condition, also while PostgreSQL does not respond: what needs it is then not checked."""
    portal = portal_outcomes()
    if portal["database"].state != "failing":
        return health_report(SYSTEM)
    unknown = not_checked("the database does not respond")
    return HealthReport([HealthFinding(each, portal.get(each.code, unknown)) for each in CONDITIONS])


def _sees(viewer: Viewer, condition: Condition) -> bool:
    if not isinstance(viewer, User) or condition.audience == "everybody":
        return True
    return viewer.has_role(Role.ADMIN) if condition.audience == "admins" else viewer.sees_whole_estate


def _dated(outcome: CheckOutcome, began_at: dt.datetime | None) -> CheckOutcome:
    """Return a failing outcome without a time of its own with that of the first check at which it failed."""
    if outcome.state != "failing" or outcome.since is not None:
        return outcome
    return dataclasses.replace(outcome, since=began_at)


_STORED: Final[dict[str, Callable[[], CheckOutcome]]] = {
    "database_service": storage.service_outcome,
    "portal_clock": storage.database_clock_outcome,
    "partitions": storage.partitions_outcome,
    "disk": storage.disk_outcome,
    "audit_seal": storage.audit_outcome,
    "database_role": storage.role_outcome,
    "proxies": storage.proxies_outcome,
    "second_approver": storage.approver_outcome,
    "siem": siem_outcome,
    "notifications": storage.notifications_outcome,
}


def portal_outcomes() -> dict[str, CheckOutcome]:
    """Return the outcome of each condition of the portal's own parts."""
    return merged(redis_checks(), database_checks())


def database_checks() -> dict[str, CheckOutcome]:
    """Return the outcome of each condition that PostgreSQL knows of; without it, all but its own are not checked."""
    database = storage.database_outcome()
    if database.state == "failing":
        unknown = dict.fromkeys(_STORED, not_checked("the database does not respond"))
        full = storage.full_file_system()  # often the reason
        return {"database": database, **unknown, **({"disk": full} if full else {})}
    return {"database": database, **{code: _checked(code, check) for code, check in _STORED.items()}}


def merged(one: dict[str, CheckOutcome], other: dict[str, CheckOutcome]) -> dict[str, CheckOutcome]:
    """Return both; of a condition that both checked, the worse outcome."""
    worse = {
        code: min(one[code], other[code], key=lambda each: ("failing", "not_checked", "ok").index(each.state))
        for code in one.keys() & other.keys()
    }
    return {**one, **other, **worse}


def _checked(code: str, check: Callable[[], CheckOutcome]) -> CheckOutcome:
    """Return the check's outcome; one that cannot be made is not checked, and stops no other."""
    try:
        with transaction.atomic():
            return check()
    except (DatabaseError, OSError) as error:
        logger.warning("health cannot check %s: %s", BY_CODE[code].title, error)
        return not_checked("the check failed; the portal's log has the error")
