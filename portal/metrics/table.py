"""Every metric of the portal: name, kind, labels and meaning; docs/metrics.md is generated from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

PREFIX: Final = "driftwatch_"
STATUSES: Final = ("2xx", "3xx", "4xx", "5xx")
KINDS: Final = ("page", "api", "sensor", "ingest", "other")
"""Of requests: pages, API clients, calls of sensors but for their events, and those."""
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class MetricDefinition:
    """One metric. `labels`: each with the values that it can have, so that the number of series is bounded.

    `each`: every web process counts its own and a scrape adds those of one machine; else any scrape has the whole.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)
    each: bool = False


_VIEW: Final = "the view's name in docs/permissions.md, or `none` for an address that does not exist"

TABLE: Final = (
    MetricDefinition(
        "http_requests_total",
        "counter",
        "Requests by view and status.",
        {"view": _VIEW, "status": ", ".join(STATUSES)},
        each=True,
    ),
    MetricDefinition(
        "http_request_seconds",
        "histogram",
        "Time of requests in Django, in seconds; `kind=ingest` is the latency of storing events.",
        {"kind": ", ".join(KINDS)},
        each=True,
    ),
    MetricDefinition(
        "ingest_events_total",
        "counter",
        "Events that sensors sent, by what became of them.",
        {"result": "accepted, duplicate"},
        each=True,
    ),
    MetricDefinition(
        "ingest_refused_batches_total",
        "counter",
        "Batches of events that were refused or not stored.",
        {"status": "4xx, 5xx"},
        each=True,
    ),
    MetricDefinition("alerts_opened_total", "counter", "The highest number of an alert."),
    MetricDefinition("alerts", "gauge", "Alerts that are kept, by status.", {"status": "each status of an alert"}),
    MetricDefinition("condition", "gauge", "1 while a condition of docs/health.md holds.", {"code": "its code"}),
    MetricDefinition(
        "condition_checked", "gauge", "1 where a condition was checked, 0 where it could not be.", {"code": "its code"}
    ),
    MetricDefinition("queue_tasks", "gauge", "Tasks that wait for a worker."),
    MetricDefinition("queue_age_seconds", "gauge", "How long the oldest task has waited."),
    MetricDefinition(
        "process_silence_seconds",
        "gauge",
        "Seconds since the last report of any process of a role; +Inf where none ever reported.",
        {"role": "worker, beat, gateway"},
    ),
    MetricDefinition("processes", "gauge", "Processes of a role that report.", {"role": "worker, beat, gateway"}),
    MetricDefinition(
        "process_cpu_seconds_total",
        "counter",
        "CPU time of the processes of a role that report.",
        {"role": "worker, beat, gateway"},
    ),
    MetricDefinition(
        "process_resident_bytes",
        "gauge",
        "Greatest memory of the processes of a role that report, added up.",
        {"role": "worker, beat, gateway"},
    ),
    MetricDefinition("streams", "gauge", "Open push streams of sensors."),
    MetricDefinition(
        "tasks_total", "counter", "Tasks that ended.", {"task": "its name", "result": "succeeded, failed"}
    ),
    MetricDefinition("task_seconds_total", "counter", "Time that tasks took.", {"task": "its name"}),
    MetricDefinition(
        "task_age_seconds",
        "gauge",
        "Seconds since a scheduled task last ended; of `fleet.sweep` the sweeper's lag. +Inf where it never did.",
        {"task": "its name"},
    ),
    MetricDefinition(
        "sensors",
        "gauge",
        "Sensors by state; `live` is divided into online, offline and off (its environment is switched off).",
        {"state": "online, offline, off, released, revoked, retired"},
    ),
    MetricDefinition(
        "sensor_losses",
        "gauge",
        "Executions and events that live sensors lost since each started, by cause.",
        {"cause": "those of docs/sensor.md#counters, or `other`"},
    ),
    MetricDefinition("policy_version", "gauge", "Number of the newest version."),
    MetricDefinition(
        "delivery_sensors",
        "gauge",
        "Sensors of the newest version's rollout by state of their delivery.",
        {"state": "pending, fetched, applied, rejected, superseded"},
    ),
    MetricDefinition(
        "delivery_seconds",
        "gauge",
        "Seconds from saving the newest version until this share of its sensors had applied it; NaN before.",
        {"percent": "50, 95, 100"},
    ),
    MetricDefinition("partitions_ahead", "gauge", "Days ahead that have a partition of events; -1: none for today."),
    MetricDefinition("database_bytes", "gauge", "Size of the database."),
    MetricDefinition("portal_info", "gauge", "1, with the portal's version.", {"version": "its release and commit"}),
    MetricDefinition("scrape_errors", "gauge", "Parts of this scrape that could not be made, such as without Redis."),
)
