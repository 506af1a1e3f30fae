"""The Celery app. Tasks take ids, may run twice, and are called by name (`drift.queue`)."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, Task
from celery.signals import before_task_publish, task_postrun, task_prerun
from django.conf import settings
from kombu.utils.json import dumps

from accounts.request_context import current_request_id, set_program
from drift.health.domain.process_reports import INTERVAL
from drift.redis_servers import broker_settings
from portal.task_signatures import sign

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")


BEAT_SCHEDULE: dict[str, dict[str, object]] = {
    "sweep rollouts": {"task": "fleet.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "flush heartbeats": {"task": "fleet.flush_heartbeats", "schedule": 10.0, "options": {"expires": 10}},
    "tidy the fleet": {"task": "fleet.tidy", "schedule": 60.0, "options": {"expires": 60}},
    "record health": {"task": "health.record", "schedule": 60.0, "options": {"expires": 60}},
    "keep partitions": {"task": "alerts.keep_partitions", "schedule": 3600.0, "options": {"expires": 3600}},
    "delete command lines": {
        "task": "alerts.delete_command_lines",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "report alert rates": {"task": "alerts.report_rates", "schedule": 10.0, "options": {"expires": 10}},
    "fold alert tallies": {"task": "alerts.fold_tallies", "schedule": 10.0, "options": {"expires": 10}},
    "settle quarantines": {"task": "alerts.settle_quarantines", "schedule": 10.0, "options": {"expires": 10}},
    "score alerts": {"task": "alerts.score_alerts", "schedule": 10.0, "options": {"expires": 10}},
    "fold rule hits": {"task": "alerts.fold_hits", "schedule": 60.0, "options": {"expires": 60}},
    "sweep backtests": {"task": "backtest.sweep", "schedule": 30.0, "options": {"expires": 30}},
    "forward alerts": {"task": "siem.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "sweep notifications": {"task": "notify.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "send the audit log's head": {"task": "notify.send_audit_head", "schedule": 3600.0, "options": {"expires": 3600}},
    "seal the audit log": {"task": "accounts.seal_audit_log", "schedule": 10.0, "options": {"expires": 10}},
    "publish the audit log's head": {
        "task": "accounts.publish_audit_head",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "expire the audit log": {"task": "accounts.expire_audit_log", "schedule": 3600.0, "options": {"expires": 3600}},
    "delete expired sessions": {
        "task": "accounts.delete_expired_sessions",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "disable expired rules": {"task": "policy.disable_expired_rules", "schedule": 60.0, "options": {"expires": 60}},
}

app = Celery("driftwatch")
_broker = broker_settings(settings.REDIS_URL)
app.conf.update(
    broker_url=_broker["broker_url"],
    broker_use_ssl=_broker.get("broker_use_ssl"),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # visibility_timeout: longer than task_time_limit, or a running task would be delivered again.
    # socket_timeout: longer than the worker's blocking read (1 s), yet short: a hung broker must not block a Save.
    # health_check_interval: a blocking read that is overdue by as much is on a connection that leads nowhere.
    broker_transport_options={
        "visibility_timeout": 600,
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        "health_check_interval": 5,
        **_broker.get("broker_transport_options", {}),
    },
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    task_soft_time_limit=240,
    task_time_limit=300,
    task_serializer="json",
    accept_content=["json"],
    worker_consumer="portal.signed_consumer:SignedConsumer",
    # Anybody who can write in Redis could stop workers, or revoke tasks: nothing signs such orders.
    worker_enable_remote_control=False,
    timezone="UTC",
    worker_hijack_root_logger=False,
    beat_scheduler="portal.scheduler:ReportingScheduler",
    # It reports each time that it looks what is due.
    beat_max_loop_interval=INTERVAL,
    beat_schedule=BEAT_SCHEDULE,
)
app.autodiscover_tasks(["accounts", "drift.notify", "drift.policy", "drift.fleet", "drift.alerts"])
app.autodiscover_tasks(["drift.siem", "drift.backtest", "drift.health"])


@before_task_publish.connect
def _pass_request_id_on(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Let a task's log lines and audit entries carry the id of the request that sent it; and when it was sent."""
    if headers is None:
        return
    headers["sent_at"] = round(time.time(), 3)
    if request_id := current_request_id():
        headers["request_id"] = request_id


@before_task_publish.connect
def _sign(headers: dict[str, Any] | None = None, body: object = None, **_: Any) -> None:
    # The last of the receivers: what others add to the headers is signed too.
    if headers is not None:
        sign(headers, dumps(body), settings.SECRET_KEY)


_began: dict[str, float] = {}
"""When each task that runs in this process began."""


@task_prerun.connect
def _name_task(task: Task[..., object], task_id: str, **_: Any) -> None:
    set_program(f"task {task.name}", str(task.request.get("request_id") or task_id)[:64])
    _began[task_id] = time.monotonic()


@task_postrun.connect
def _record_task(task: Task[..., object], task_id: str, state: str | None = None, **_: Any) -> None:
    # Imported late: models are not there yet when this module is loaded.
    from drift.health.actions.task_reports import record_task

    now = time.monotonic()
    record_task(task.name, succeeded=state == "SUCCESS", seconds=now - _began.pop(task_id, now))
