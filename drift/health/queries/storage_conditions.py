"""Conditions of what the portal stores: database, partitions, disk, clock, audit log, roles."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from accounts.queries.proxy_warnings import proxy_warning
from accounts.queries.storage_warnings import role_problems, unsealed_since
from drift.alerts.domain.event_table import EVENT_TABLE, partition_name
from drift.fleet.queries.environments import approver_warnings
from drift.health.domain.outcomes import CheckOutcome, failing, not_checked, ok
from drift.notify.models import NO_LONGER_READ, NoticeDelivery, NoticeState

GIB: Final = 1024**3
DATABASE_SHARE: Final = 0.8
FREE_SHARE: Final = 0.1
NEEDED_AHEAD: Final = 2
"""Days after today whose partitions must exist; beat creates them seven days ahead."""
CLOCK_SECONDS: Final = 5.0
STANDBY_SECONDS: Final = 5.0
SLOW_SECONDS: Final = 1.0
"""For a query that reads nothing: a hundred times what it takes on a busy server nearby."""
RECENT: Final = dt.timedelta(days=1)


def database_outcome() -> CheckOutcome:
    """Return whether PostgreSQL responds."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, OSError):
        # Not the error's text, which names hosts.
        return failing()
    return ok("responds")


def service_outcome() -> CheckOutcome:
    """Return whether PostgreSQL writes, commits and responds as it should.

    Who waits for a standby is seen of sessions of the portal's own role, which are those that matter.
    """
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('transaction_read_only')::boolean, count(*),"
            " coalesce(extract(epoch FROM max(clock_timestamp() - query_start)), 0)"
            " FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()"
        )
        reads_only, waiting, waited = cursor.fetchone()
    seconds = time.monotonic() - began
    if reads_only:
        return failing("it only reads: it is a standby, or was made to")
    if waited > STANDBY_SECONDS:
        commits = "1 commit waits" if waiting == 1 else f"{waiting} commits wait"
        return failing(f"{commits} for a standby, for {waited:.0f} s by now")
    if seconds > SLOW_SECONDS:
        return failing(f"it took {seconds:.1f} s to respond")
    return ok()


def partitions_outcome() -> CheckOutcome:
    """Return whether today and the next days have a partition of events."""
    ahead = partitions_ahead()
    if ahead < NEEDED_AHEAD:
        return failing("there is none for today" if ahead < 0 else f"{ahead} days ahead")
    return ok(f"{ahead} days ahead")


def partitions_ahead() -> int:
    """Return how many days after today have a partition without a gap; -1 where today has none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = to_regclass(%s)",
            [EVENT_TABLE],
        )
        names = {name for (name,) in cursor.fetchall()}
    today, ahead = timezone.now().date(), -1
    while partition_name(today + dt.timedelta(days=ahead + 1)) in names:
        ahead += 1
    return ahead


def disk_outcome() -> CheckOutcome:
    """Return whether database and file systems have room, as far as the settings say what to look at."""
    found = [*_database_share(), *(_file_system(path) for path in settings.DISK_PATHS)]
    if not found:
        return not_checked("set DATABASE_DISK_GIB or DISK_PATHS to have it checked")
    for state in ("failing", "not_checked"):
        if worst := [each for each in found if each.state == state]:
            return worst[0]
    return ok(", ".join(each.detail for each in found))


def full_file_system() -> CheckOutcome | None:
    """Return a file system that is nearly full, which needs no database to be known; None where there is none."""
    found = (_file_system(path) for path in settings.DISK_PATHS)
    return next((each for each in found if each.state == "failing"), None)


def _database_share() -> list[CheckOutcome]:
    if not settings.DATABASE_DISK_GIB:
        return []
    size = database_bytes()
    share = size / (settings.DATABASE_DISK_GIB * GIB)
    text = f"the database takes {size / GIB:.1f} GiB, {share:.0%} of its disk"
    return [failing(text) if share > DATABASE_SHARE else ok(text)]


def database_bytes() -> int:
    """Return the size of the database on disk."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def _file_system(path: str) -> CheckOutcome:
    try:
        facts = os.statvfs(path)
    except OSError as error:
        return not_checked(f"{path}: {error.strerror}")
    free = facts.f_bavail / facts.f_blocks if facts.f_blocks else 0.0
    text = f"{path} has {free:.0%} free"
    return failing(text) if free < FREE_SHARE else ok(text)


def database_clock_outcome() -> CheckOutcome:
    """Return whether this machine's clock agrees with PostgreSQL's."""
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        there = float(cursor.fetchone()[0])
    offset = (before + time.time()) / 2 - there
    if abs(offset) > CLOCK_SECONDS:
        return failing(f"this machine is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} PostgreSQL")
    return ok(f"within {CLOCK_SECONDS:.0f} s")


def audit_outcome() -> CheckOutcome:
    """Return whether the audit log is sealed up to now."""
    since = unsealed_since()
    return failing("entries are not sealed", since) if since else ok()


def role_outcome() -> CheckOutcome:
    """Return whether the database role is as limited as it should be."""
    problems = role_problems()
    return failing("; ".join(problems)) if problems else ok()


def proxies_outcome() -> CheckOutcome:
    """Return whether requests match TRUSTED_PROXIES."""
    warning = proxy_warning()
    return failing(warning) if warning else ok()


def approver_outcome() -> CheckOutcome:
    """Return whether SECOND_APPROVER_ENVIRONMENTS are environments."""
    warnings = approver_warnings()
    return failing(" ".join(warnings)) if warnings else ok()


def notifications_outcome() -> CheckOutcome:
    """Return whether the notifications of the last day were delivered."""
    recent = NoticeDelivery.objects.filter(state=NoticeState.DEAD, notice__created_at__gte=timezone.now() - RECENT)
    dead = recent.exclude(error=NO_LONGER_READ)
    first = dead.order_by("notice__created_at").values_list("notice__created_at", flat=True).first()
    if first is None:
        return ok()
    count = dead.count()
    return failing(f"{count} {'delivery' if count == 1 else 'deliveries'} failed", first, count)
