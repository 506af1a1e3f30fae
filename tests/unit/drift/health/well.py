"""A portal and an estate of which every condition is checked and none holds."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from accounts.queries.proxy_warnings import KEY as PROXY_KEY
from drift import queue
from drift.alerts.actions.partitions import keep_partitions
from drift.fleet.models import Environment, FleetState, Proof, Rollout, Sensor, SensorStatus
from drift.health.domain.process_reports import KEY, ROLES, ProcessReport, encode_report, field_name
from drift.health.domain.task_reports import ENDED_AT
from drift.policy.models import PolicyVersion
from tests.unit.drift.fleet import estate

CAPABILITIES = ["ebpf", "block", "hold", "library"]


def report(role: str, ago: float = 0.0) -> None:
    """Report one process of `role`, so many seconds ago."""
    now = time.time()
    row = encode_report(ProcessReport(now - ago, now - 3600, settings.PORTAL_VERSION))
    queue.redis_client().hset(KEY, field_name(role, "host", 1), row)


def portal(configured: Any) -> None:
    """Let every part of the portal be well; `configured` is pytest-django's `settings`."""
    client = queue.redis_client()
    client.delete(KEY, ENDED_AT, "celery")
    cache.delete(PROXY_KEY)  # other tests' requests came through proxies
    for role in ROLES:
        report(role)
    for entry in current_app.conf.beat_schedule.values():
        client.hset(ENDED_AT, entry["task"], int(time.time()))
    configured.DATABASE_DISK_GIB = 1_000
    keep_partitions()
    # The migration dates it, long ago where the database is an older copy: sensors would have to know by now.
    FleetState.objects.update(blocking_changed_at=timezone.now())
    for version in PolicyVersion.objects.filter(rollout=None):
        Rollout.objects.create(version=version, spread_at=timezone.now(), finished_at=timezone.now())


def sensor(node: str = "node-1", **status: Any) -> Sensor:
    """Return a sensor of an environment with proof of detection, whose last heartbeat is of now."""
    now = timezone.now()
    found = Environment.objects.first() or estate.environment(proved_since=now)
    cluster = found.clusters.first() or estate.cluster(found)
    row, _ = estate.sensor(cluster, node, applied_number=1, applied_at=now - dt.timedelta(hours=1))
    facts = {
        "last_seen_at": now,
        "sensor_version": settings.PORTAL_VERSION,
        "backend": "ebpf",
        "capabilities": CAPABILITIES,
        "clock_offset": -0.1,
    }
    SensorStatus.objects.create(sensor=row, **{**facts, **status})
    Proof.objects.create(sensor=row, seen_at=now, seconds=1.0)
    return row
