"""Sample alerts: to see what alerts look like before anything happened. Marked as samples wherever they show."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.alerts.actions import intern_rows as intern
from drift.alerts.actions.open_alerts import open_alerts
from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.event_groups import EventGroup
from drift.alerts.domain.fingerprints import FingerprintCounter, binary_facts, digest, workload_facts
from drift.alerts.errors import Invalid
from drift.alerts.models import Alert
from drift.alerts.queries.active_suppressions import ActiveSuppressions
from drift.fleet.models import Sensor, SensorState
from sensor import policy, wire

SAMPLES: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "new_file", "name": "xmrig", "path": "/var/www/xmrig", "argv": ["./xmrig", "-o", "pool.example:3333"]},
    {"kind": "replaced", "name": "sshd", "path": "/usr/sbin/sshd", "argv": ["/usr/sbin/sshd", "-D"]},
    {"kind": "fileless", "name": "a", "path": "/memfd:a", "argv": ["a"], "outcome": "blocked"},
)  # fmt: skip


@transaction.atomic(durable=True)
def make_samples(actor: User) -> list[Alert]:
    """One alert of each sample, on a sensor that is enrolled. Raises Invalid where none is."""
    sensor = Sensor.objects.filter(state=SensorState.LIVE).select_related("cluster__environment").order_by("pk").first()
    if sensor is None:
        raise Invalid("Enrol a sensor first: a sample alert needs a cluster to be in.", "sensor")
    source = BatchSource.of(sensor)
    groups = [_group(source, sample) for sample in SAMPLES]
    groups.sort(key=lambda group: group.fingerprint)
    opened = open_alerts(
        source, ActiveSuppressions(source, none=True), [(group, None) for group in groups], announced=False
    )
    Alert.objects.filter(pk__in=opened).update(sample=True, incident=None)
    audit.record(actor, "made", "sample alerts", min(opened), after={"alerts": sorted(opened)})
    return list(Alert.objects.filter(pk__in=opened))


def _group(source: BatchSource, sample: dict[str, Any]) -> EventGroup:
    event = _event(sample)
    workload, binary = workload_facts(source.cluster_id, event.container), binary_facts(event)
    seen = EnrichedEvent(
        event,
        wire.Decision("block" if event.outcome == "blocked" else "alert", policy.DEFAULT_RULE, "default", None),
        intern.workload_ids([workload])[workload],
        intern.binary_ids([binary])[binary],
        FingerprintCounter(digest("sample", str(event.event_id))),
    )
    return EventGroup(seen.fingerprint, [seen])


def _event(sample: dict[str, Any]) -> wire.Event:
    now = timezone.now()
    process = {"name": sample["name"], "path": sample["path"], "argv": sample["argv"], "pid": 4242, "uid": 0}
    process |= {"sha256": "0" * 64, "hash_status": "ok", "parent": {"name": "sh", "path": "/bin/sh", "pid": 4200}}
    container = {
        "id": "0" * 64,
        "name": "sample",
        "runtime": "containerd",
        "image_name": "docker.io/library/sample:1",
        "namespace": "sample",
        "pod_name": "sample-0",
    }
    event = {"event_id": uuid.uuid4(), "mode": "exec", "observed_at": now, "last_at": now, "kind": sample["kind"]}
    event |= {"process": process, "container": container, "outcome": sample.get("outcome", "none")}
    return msgspec.convert(event, wire.Event)
