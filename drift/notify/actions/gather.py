"""Gather pending notices into one message per kind and route, and hold back groups that were notified recently."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from drift import queue
from drift.notify.actions import channels
from drift.notify.domain.messages import (
    MAX_LINES,
    TITLES,
    NoticeGroup,
    notice_path,
    notice_text,
    notice_title,
    route_path,
    route_prefix,
    route_title,
)
from drift.notify.models import Kind, MailSettings, Notice, NoticeDelivery, NoticeHold
from drift.notify.queries.routes import pending_routes

MAX_COUNT: Final = 2**31 - 1
"""The largest value of the column `count`."""
LOCK: Final = "gather notifications"
TAKE: Final = """
WITH taken AS (
    DELETE FROM notify_pending AS pending WHERE kind = %(kind)s AND starts_with(key, %(prefix)s) AND NOT EXISTS (
        SELECT FROM notify_hold AS hold WHERE hold.kind = pending.kind AND hold.key = pending.key
    ) RETURNING *
), held AS (
    INSERT INTO notify_hold (kind, key, until) SELECT DISTINCT kind, key, %(until)s::timestamptz FROM taken
), groups AS (
    SELECT min(id) AS first, (array_agg(title ORDER BY id))[1] AS title, (array_agg(path ORDER BY id))[1] AS path,
           sum(count)::bigint AS count
    FROM taken GROUP BY key
)
SELECT title, path, count, count(*) OVER (), (sum(count) OVER ())::bigint FROM groups ORDER BY first LIMIT %(lines)s
"""
"""Takes every pending row that is not held back; only the groups that the message lists leave the database."""
FOLD: Final = """
WITH folded AS (
    DELETE FROM notify_pending WHERE (kind, key) IN (
        SELECT kind, key FROM notify_pending GROUP BY kind, key HAVING count(*) > 1
    ) RETURNING *
)
INSERT INTO notify_pending (kind, key, title, count, path, created_at)
SELECT kind, key, (array_agg(title ORDER BY id))[1], least(sum(count), %s), (array_agg(path ORDER BY id))[1],
       min(created_at)
FROM folded GROUP BY kind, key
"""
"""Merges what is held back into one row per group: a busy incident adds a row with each batch, for up to a week."""


def gather() -> None:
    """Create one notice per kind and route from all pending rows whose group was not notified within the interval."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Two sweeps may overlap; the second would find nothing but block on the first one's row locks.
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if cursor.fetchone() != (True,):
            return
        NoticeHold.objects.filter(until__lte=timezone.now()).delete()
        mail = MailSettings.objects.get()
        for kind in TITLES:
            if groups := _take(cursor, kind, "", mail):
                notice = Notice(kind=kind, title=notice_title(kind, groups[0].total), path=notice_path(kind, groups))
                _store(notice, groups, channels.new_deliveries(notice, mail))
        for route in pending_routes():
            if groups := _take(cursor, Kind.ROUTE, route_prefix(route.pk), mail):
                title = route_title(route.name, groups[0].total)
                notice = Notice(kind=Kind.ROUTE, title=title, path=route_path(route.query, groups))
                _store(notice, groups, channels.route_deliveries(notice, route))
        cursor.execute(FOLD, [MAX_COUNT])


def _take(cursor: CursorWrapper, kind: str, prefix: str, mail: MailSettings) -> list[NoticeGroup]:
    """Take the pending rows of a kind whose keys begin with `prefix`, and return the groups that a notice lists."""
    until = timezone.now() + dt.timedelta(minutes=mail.interval_minutes)
    cursor.execute(TAKE, {"kind": kind, "prefix": prefix, "until": until, "lines": MAX_LINES})
    return [NoticeGroup(*row) for row in cursor.fetchall()]


def _store(notice: Notice, groups: list[NoticeGroup], deliveries: list[NoticeDelivery]) -> None:
    if not deliveries:  # nobody subscribes: the rows are dropped all the same, or they would pile up
        return
    notice.text = notice_text(groups)
    notice.save()
    NoticeDelivery.objects.bulk_create(deliveries)
    queue.enqueue("notify.send")
