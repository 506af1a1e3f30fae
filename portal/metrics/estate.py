"""Metrics of what all processes share, read from PostgreSQL and Redis at each scrape."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import redis
from django.conf import settings
from django.db import DatabaseError, transaction
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from drift import queue
from drift.health.actions.health_report import SYSTEM, health_report
from drift.health.actions.portal_checks import RedisFacts, redis_facts
from drift.health.domain.conditions import CONDITIONS
from drift.health.domain.process_reports import ROLES, is_live
from drift.health.domain.task_reports import ENDED, FAILED, SECONDS
from drift.health.queries import figures
from drift.health.queries.storage_conditions import database_bytes, partitions_ahead
from portal.celery import BEAT_SCHEDULE, app
from portal.metrics.table import PREFIX, TABLE

logger = logging.getLogger(__name__)
_HELP = {each.name: each.help for each in TABLE}
SCHEDULED = sorted({str(entry["task"]) for entry in BEAT_SCHEDULE.values()})


class EstateCollector(Collector):
    """The figures of the moment. A part that cannot be read is left out, and counted in `scrape_errors`."""

    def collect(self) -> Iterator[Metric]:
        errors = 0
        for part in (_redis, _health, _sensors, _alerts, _delivery, _storage):
            try:
                yield from _made(part)
            except (redis.RedisError, DatabaseError, OSError, ValueError) as error:  # ValueError: Redis holds nonsense
                errors += 1
                logger.warning("metrics lack %s: %s", part.__name__.strip("_"), error)
        yield _gauge("scrape_errors", errors)


def _made(part: Callable[[], Iterator[Metric]]) -> list[Metric]:
    if part is _redis:
        return list(part())
    # Of its own, so that an error in one does not end the others.
    with transaction.atomic():
        return list(part())


def _redis() -> Iterator[Metric]:
    facts = redis_facts()
    yield _gauge("queue_tasks", facts.depth)
    waiting_since = facts.oldest_sent_at
    yield _gauge("queue_age_seconds", max(0.0, facts.now + facts.offset - waiting_since) if waiting_since else 0)
    yield from _processes(facts)
    names = _task_names()
    client = queue.redis_client()
    succeeded, failed, seconds = (_numbers(client, key) for key in (ENDED, FAILED, SECONDS))
    totals = CounterMetricFamily(f"{PREFIX}tasks", _HELP["tasks_total"], labels=["task", "result"])
    for name in names:
        totals.add_metric([name, "succeeded"], succeeded.get(name, 0))
        totals.add_metric([name, "failed"], failed.get(name, 0))
    yield totals
    yield _counters("task_seconds", "task", {name: seconds.get(name, 0) for name in names})
    ages = {name: facts.now - facts.ended[name] if name in facts.ended else math.inf for name in SCHEDULED}
    yield _gauges("task_age_seconds", "task", ages)


@functools.cache
def _task_names() -> list[str]:
    # A web process sends tasks by name, and has not loaded them.
    app.loader.import_default_modules()
    return sorted(name for name in app.tasks if not name.startswith("celery."))


def _numbers(client: redis.Redis, key: str) -> dict[str, float]:
    rows = cast("dict[bytes, bytes]", client.hgetall(key))
    return {name.decode(): float(value) for name, value in rows.items()}


def _processes(facts: RedisFacts) -> Iterator[Metric]:
    live = {role: [each for each in facts.reports[role] if is_live(each, facts.now)] for role in ROLES}
    last = {role: facts.reports[role][0].at if facts.reports[role] else -math.inf for role in ROLES}
    yield _gauges("process_silence_seconds", "role", {role: max(0.0, facts.now - at) for role, at in last.items()})
    yield _gauges("processes", "role", {role: len(rows) for role, rows in live.items()})
    cpu = {role: sum(each.cpu_seconds for each in rows) for role, rows in live.items()}
    yield _counters("process_cpu_seconds", "role", cpu)
    memory = {role: sum(each.resident_bytes for each in rows) for role, rows in live.items()}
    yield _gauges("process_resident_bytes", "role", memory)
    yield _gauge("streams", sum(each.streams for each in live["gateway"]))


def _health() -> Iterator[Metric]:
    states = {each.condition.code: each.outcome.state for each in health_report(SYSTEM).findings}
    codes = [condition.code for condition in CONDITIONS]
    yield _gauges("condition", "code", {code: int(states[code] == "failing") for code in codes})
    yield _gauges("condition_checked", "code", {code: int(states[code] != "not_checked") for code in codes})


def _sensors() -> Iterator[Metric]:
    yield _gauges("sensors", "state", figures.sensors_by_state())
    yield _gauges("sensor_losses", "cause", figures.losses_by_cause())


def _alerts() -> Iterator[Metric]:
    yield CounterMetricFamily(f"{PREFIX}alerts_opened", _HELP["alerts_opened_total"], value=figures.highest_alert())
    yield _gauges("alerts", "status", figures.alerts_by_status())


def _delivery() -> Iterator[Metric]:
    newest = figures.newest_delivery()
    yield _gauge("policy_version", newest.number)
    yield _gauges("delivery_sensors", "state", newest.by_state)
    seconds = {str(percent): math.nan if time is None else time for percent, time in newest.seconds.items()}
    yield _gauges("delivery_seconds", "percent", seconds)


def _storage() -> Iterator[Metric]:
    yield _gauge("partitions_ahead", partitions_ahead())
    yield _gauge("database_bytes", database_bytes())
    info = GaugeMetricFamily(f"{PREFIX}portal_info", _HELP["portal_info"], labels=["version"])
    info.add_metric([settings.PORTAL_VERSION], 1)
    yield info


def _gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", _HELP[name], value=value)


def _gauges(name: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}{name}", _HELP[name], labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counters(name: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}{name}", _HELP[f"{name}_total"], labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
