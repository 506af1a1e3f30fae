"""The Celery app. Tasks take ids, may run twice, and are called by name (`drift.queue`)."""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")


def broker_url(redis_url: str) -> str:
    """Return Celery's form of a Redis URL: it expects redis+socket:// for a Unix socket."""
    return redis_url.replace("unix://", "redis+socket://", 1) if redis_url.startswith("unix://") else redis_url


BEAT_SCHEDULE: dict[str, dict[str, object]] = {
    "sweep rollouts": {"task": "fleet.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "flush heartbeats": {"task": "fleet.flush_heartbeats", "schedule": 10.0, "options": {"expires": 10}},
    "tidy the fleet": {"task": "fleet.tidy", "schedule": 60.0, "options": {"expires": 60}},
    "report the fleet's health": {"task": "fleet.report_health", "schedule": 60.0, "options": {"expires": 60}},
    "keep partitions": {"task": "alerts.keep_partitions", "schedule": 3600.0, "options": {"expires": 3600}},
    "report alert rates": {"task": "alerts.report_rates", "schedule": 10.0, "options": {"expires": 10}},
    "fold alert tallies": {"task": "alerts.fold_tallies", "schedule": 10.0, "options": {"expires": 10}},
    "fold rule hits": {"task": "alerts.fold_hits", "schedule": 60.0, "options": {"expires": 60}},
    "sweep backtests": {"task": "backtest.sweep", "schedule": 30.0, "options": {"expires": 30}},
    "sweep notifications": {"task": "notify.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "delete expired sessions": {
        "task": "accounts.delete_expired_sessions",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "disable expired rules": {"task": "policy.disable_expired_rules", "schedule": 60.0, "options": {"expires": 60}},
}

app = Celery("driftwatch")
app.conf.update(
    broker_url=broker_url(settings.REDIS_URL),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # visibility_timeout: longer than task_time_limit, or a running task would be delivered again.
    # socket_timeout: longer than the worker's blocking read (1 s), yet short: a hung broker must not block a Save.
    broker_transport_options={"visibility_timeout": 600, "socket_connect_timeout": 2, "socket_timeout": 5},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    task_soft_time_limit=240,
    task_time_limit=300,
    task_serializer="json",
    accept_content=["json"],
    timezone="UTC",
    worker_hijack_root_logger=False,
    beat_schedule=BEAT_SCHEDULE,
)
app.autodiscover_tasks(["accounts", "drift.notify", "drift.policy", "drift.fleet", "drift.alerts", "drift.backtest"])
