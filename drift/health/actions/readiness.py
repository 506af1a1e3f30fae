"""Whether the portal is ready, within a few seconds whatever hangs: what `/readyz` answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from django.db import connection

from drift.health.actions.health_report import portal_outcomes
from drift.health.actions.portal_checks import redis_checks
from drift.health.domain.conditions import PORTAL, Condition
from drift.health.domain.outcomes import CheckOutcome, failing, not_checked
from drift.health.queries.storage_conditions import database_outcome

WAIT_SECONDS: Final = 4.0
"""For a check: less than a probe waits, more than a slow server takes."""
_Found = dict[str, CheckOutcome]
_running: dict[str, Future[_Found]] = {}
_lock = threading.Lock()


def readiness_soon(role: str) -> dict[str, CheckOutcome]:
    """Return the portal's own parts that `role` needs; for "" all of them but what is for admins.

    Where PostgreSQL accepts connections and never answers, libpq waits for ever: then its condition fails, and what
    was not checked in time is not checked. One thread a role waits on; while it does, others wait for the same check.
    """
    with _lock:
        check = _running.get(role)
        if check is None or check.done():
            check = _running[role] = _started(lambda: _readiness(role))
    try:
        return check.result(WAIT_SECONDS)
    except TimeoutError:
        late = not_checked(f"not within {WAIT_SECONDS:.0f} s")
        return {each.code: failing("hangs") if each.code == "database" else late for each in _conditions(role)}


def _started(check: Callable[[], _Found]) -> Future[_Found]:
    future: Future[_Found] = Future()

    def run() -> None:
        try:
            future.set_result(check())
        except Exception as error:  # noqa: BLE001 - whoever waits for the result raises it
            future.set_exception(error)
        finally:
            # This thread's own, which nothing else would close.
            connection.close()

    threading.Thread(target=run, name="readiness", daemon=True).start()
    return future


def _conditions(role: str) -> list[Condition]:
    return [each for each in PORTAL if (role in each.ready_roles if role else each.audience == "everybody")]


def _readiness(role: str) -> _Found:
    if role == "web":
        return {"database": database_outcome()}
    outcomes = portal_outcomes() if not role else {"database": database_outcome(), **redis_checks()}
    return {each.code: _public(each, outcomes[each.code]) for each in _conditions(role)}


def _public(condition: Condition, outcome: CheckOutcome) -> CheckOutcome:
    """Return the outcome as anybody may see it: details of disks name directories and sizes."""
    return CheckOutcome(outcome.state, "" if condition.code == "disk" else outcome.detail)
