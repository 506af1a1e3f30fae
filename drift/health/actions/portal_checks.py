"""Checks of the portal's own parts that Redis knows of: Redis, processes, queue, scheduled tasks, clocks.

They reach Redis, which only actions may; they change nothing.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import redis
from celery import current_app
from django.utils import timezone

from drift import queue
from drift.health.domain.outcomes import CheckOutcome, failing, not_checked, ok
from drift.health.domain.process_reports import KEY, ROLES, SILENT_AFTER, ProcessReport, decode_reports, is_live
from drift.health.domain.task_reports import ENDED_AT, overdue_tasks
from sensor.wire import json_bytes

QUEUE: Final = "celery"
"""Celery's default queue, a list: the oldest message is its last."""
QUEUE_AGE: Final = 60.0
MEMORY_SHARE: Final = 0.9
CLOCK_SECONDS: Final = 5.0
JUST_STARTED: Final = 2 * SILENT_AFTER
"""Seconds after a start of Redis within which processes may not have reported yet."""
NEEDS_REDIS: Final = ("worker", "beat", "gateway", "queue", "tasks", "portal_clock")


class _Headers(msgspec.Struct):
    sent_at: float | None = None


class _Message(msgspec.Struct):
    """Of a message of Celery, when it was sent."""

    headers: _Headers


@dataclass(frozen=True)
class RedisFacts:
    """What one look at Redis found. `offset`: seconds by which this machine's clock is ahead of Redis's."""

    now: float
    offset: float
    uptime: float
    memory_share: float | None
    reports: Mapping[str, list[ProcessReport]]
    depth: int
    oldest_sent_at: float | None
    ended: Mapping[str, float]


def redis_facts() -> RedisFacts:
    """Look at Redis, in one round trip. Raises redis.RedisError where it does not respond."""
    pipeline = queue.redis_client().pipeline(transaction=False)
    pipeline.time()
    pipeline.info()
    pipeline.hgetall(KEY)
    pipeline.llen(QUEUE)
    pipeline.lindex(QUEUE, -1)
    pipeline.hgetall(ENDED_AT)
    before = time.time()
    (seconds, micros), info, rows, depth, oldest, ended = pipeline.execute()
    now = seconds + micros / 1e6
    limit = info.get("maxmemory", 0)
    return RedisFacts(
        now=now,
        offset=(before + time.time()) / 2 - now,
        uptime=float(info["uptime_in_seconds"]),
        memory_share=info["used_memory"] / limit if limit else None,
        reports=decode_reports(rows),
        depth=depth,
        oldest_sent_at=_send_time(oldest),
        ended={name.decode(): float(at) for name, at in ended.items()},
    )


def _send_time(message: bytes | None) -> float | None:
    """Return when a waiting message was sent (portal.celery adds it); None without one, or from an older release."""
    if message is None:
        return None
    try:
        return json_bytes.decode(message, _Message).headers.sent_at
    except msgspec.DecodeError:
        return None


def redis_checks() -> dict[str, CheckOutcome]:
    """Return the outcome of each condition that Redis knows of; without Redis, all but its own are not checked."""
    try:
        facts = redis_facts()
    except (redis.RedisError, OSError):
        # Not the error's text: it may name hosts, and /readyz shows this to anybody.
        return {
            "redis": failing(),
            **dict.fromkeys(NEEDS_REDIS, not_checked("Redis does not respond")),
        }
    except ValueError:
        return {
            "redis": failing("it holds what the portal cannot read"),
            **dict.fromkeys(NEEDS_REDIS, not_checked("Redis holds what the portal cannot read")),
        }
    return {
        "redis": _redis(facts),
        **{role: _process(facts, role) for role in ROLES},
        "queue": _queue(facts),
        "tasks": _tasks(facts),
        "portal_clock": _clock(facts.offset, "Redis"),
    }


def _redis(facts: RedisFacts) -> CheckOutcome:
    if facts.memory_share is not None and facts.memory_share > MEMORY_SHARE:
        return failing(f"its memory is {facts.memory_share:.0%} full")
    return ok("responds")


def _process(facts: RedisFacts, role: str) -> CheckOutcome:
    reports = facts.reports[role]
    live = [report for report in reports if is_live(report, facts.now)]
    if live:
        return ok(f"{len(live)} {'process reports' if len(live) == 1 else 'processes report'}")
    if facts.uptime < JUST_STARTED:
        return not_checked(f"Redis started {facts.uptime:.0f} s ago: no report is due yet")
    if not reports:
        return failing("none has ever reported")
    last = reports[0].at
    return failing(f"silent for {max(0.0, facts.now - last):.0f} s", _time(last))


def _queue(facts: RedisFacts) -> CheckOutcome:
    waiting = f"{facts.depth} {'task waits' if facts.depth == 1 else 'tasks wait'}"
    if not facts.depth:
        return ok(waiting)
    if facts.oldest_sent_at is None:
        return not_checked(f"{waiting}, and the oldest does not say since when")
    age = facts.now + facts.offset - facts.oldest_sent_at
    if age < -QUEUE_AGE:
        return not_checked(f"{waiting}, the oldest sent in the future: a clock was set back")
    if age > QUEUE_AGE:
        return failing(f"{waiting}, the oldest for {age:.0f} s", _time(facts.oldest_sent_at))
    return ok(waiting)


def _tasks(facts: RedisFacts) -> CheckOutcome:
    schedule = current_app.conf.beat_schedule
    periods = {entry["task"]: float(entry["schedule"]) for entry in schedule.values()}
    overdue = overdue_tasks(periods, dict(facts.ended), facts.now, _recorded_since(facts))
    if not overdue:
        due_later = sum(name not in facts.ended for name in periods)
        if due_later == len(periods):
            return not_checked("no task has ended since they are recorded, and none is overdue yet")
        return ok(f"{len(periods) - due_later} run on time" + (f", {due_later} not due yet" if due_later else ""))
    name, age = max(overdue.items(), key=lambda item: item[1])
    more = f", and {len(overdue) - 1} more" if len(overdue) > 1 else ""
    return failing(f"{name} last ended {age:.0f} s ago{more}", _time(facts.now - age))


def _recorded_since(facts: RedisFacts) -> float:
    """Return since when ends were recorded: Redis may forget at a restart, and there may have been no worker before."""
    started = [report.started_at for reports in facts.reports.values() for report in reports]
    return max([facts.now - facts.uptime, min(started, default=facts.now)])


def _clock(offset: float, other: str) -> CheckOutcome:
    if abs(offset) > CLOCK_SECONDS:
        ahead = "ahead of" if offset > 0 else "behind"
        return failing(f"this machine is {abs(offset):.0f} s {ahead} {other}")
    return ok(f"within {CLOCK_SECONDS:.0f} s")


def _time(seconds: float) -> dt.datetime | None:
    """Return the moment; None where no calendar has it: anybody may have written it in Redis."""
    try:
        return dt.datetime.fromtimestamp(seconds, tz=timezone.get_default_timezone())
    except (OverflowError, ValueError, OSError):
        return None
