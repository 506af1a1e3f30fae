"""Whether the portal is ready, within a few seconds whatever hangs: what `/readyz` answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from django.db import connection

from drift.health.actions.health_report import database_checks, merged
from drift.health.actions.portal_checks import redis_checks
from drift.health.domain.conditions import PORTAL, Condition
from drift.health.domain.outcomes import CheckOutcome, failing, not_checked
from drift.health.queries.storage_conditions import database_outcome

WAIT_SECONDS: Final = 4.0
"""For a check: less than a probe waits, more than a slow server takes."""
_Found = dict[str, CheckOutcome]
_running: dict[str, Future[_Found]] = {}
_lock = threading.Lock()


def readiness(role: str) -> dict[str, CheckOutcome]:
    """Return the portal's own parts that `role` needs; for "" all of them but what is for admins.

    Where PostgreSQL or Redis accepts connections and never answers, a client may wait for ever: then that one fails,
    and what else it knows of is not checked. One thread waits for each; while it does, others wait for the same check.
    """
    needed = [each for each in PORTAL if (role in each.ready_roles if role else each.audience == "everybody")]
    checks = {"database": database_checks if not role else _database_alone}
    if role != "web":
        checks["redis"] = redis_checks
    pending = {name: pending_check(f"{name} {role}", check) for name, check in checks.items()}
    deadline = time.monotonic() + WAIT_SECONDS
    found: _Found = {}
    for name, future in pending.items():
        try:
            part = future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            part = {name: failing("hangs")}
        found = merged(found, part)
    unknown = not_checked(f"not within {WAIT_SECONDS:.0f} s")
    return {each.code: _public(each, found.get(each.code, unknown)) for each in needed}


def _database_alone() -> _Found:
    return {"database": database_outcome()}


def pending_check(key: str, check: Callable[[], _Found]) -> Future[_Found]:
    """Return the check that runs already under this key, else a new one."""
    with _lock:
        running = _running.get(key)
        if running is None or running.done():
            running = _running[key] = _started(check)
        return running


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


def _public(condition: Condition, outcome: CheckOutcome) -> CheckOutcome:
    """Return the outcome as anybody may see it: details of disks name directories and sizes."""
    return CheckOutcome(outcome.state, "" if condition.code == "disk" else outcome.detail)
