"""Create sample alerts, to show what alerts look like before there are any. Pages mark them as samples."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.alerts.actions import intern_rows
from drift.alerts.actions.open_alerts import NewAlert, open_alerts
from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.event_groups import EventGroup
from drift.alerts.domain.fingerprint_counters import FingerprintCounter
from drift.alerts.domain.fingerprints import binary_facts, digest, workload_facts
from drift.alerts.errors import Invalid
from drift.alerts.models import Alert
from drift.alerts.queries.batch_source import batch_source
from drift.fleet.models import Sensor, SensorState
from sensor import policy, wire

SAMPLES: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "new_file", "name": "xmrig", "path": "/var/www/xmrig", "argv": ["./xmrig", "-o", "pool.example:3333"]},
    {"kind": "replaced", "name": "sshd", "path": "/usr/sbin/sshd", "argv": ["/usr/sbin/sshd", "-D"]},
    {"kind": "fileless", "name": "a", "path": "/memfd:a", "argv": ["a"], "outcome": "blocked"},
)  # fmt: skip


@transaction.atomic(durable=True)
def make_samples(actor: User) -> list[Alert]:
    """Create one alert per sample, on an enrolled sensor that the actor sees. Raises Invalid where there is none."""
    live = Sensor.objects.visible_to(actor).filter(state=SensorState.LIVE)
    sensor = live.select_related("cluster__environment").order_by("pk").first()
    if sensor is None:
        place = "a cluster" if actor.sees_whole_estate else "a cluster that is wholly in your scope"
        raise Invalid(f"Enrol a sensor first: a sample alert needs {place}.", "sensor")
    source = batch_source(sensor)
    groups = [_sample_group(source, sample) for sample in SAMPLES]
    groups.sort(key=lambda group: group.fingerprint)
    # Neither suppressed nor notified about: the user wants to see them now.
    opened = open_alerts(source, [NewAlert(group, None) for group in groups], notify=False)
    Alert.objects.filter(pk__in=opened).update(sample=True, incident=None)
    audit.record(actor, "made", "sample alerts", min(opened), after={"alerts": sorted(opened)})
    return list(Alert.objects.filter(pk__in=opened))


def _sample_group(source: BatchSource, sample: dict[str, Any]) -> EventGroup:
    event = _event(sample)
    workload, binary = workload_facts(source.cluster_id, event.container), binary_facts(event)
    enriched = EnrichedEvent(
        event,
        wire.EventDecision("block" if event.outcome == "blocked" else "alert", policy.DEFAULT_RULE, "default", None),
        intern_rows.workload_ids([workload])[workload],
        intern_rows.binary_ids([binary])[binary],
        0,
        # A fingerprint of its own: samples never join, and no real event counts to one.
        FingerprintCounter(digest("sample", str(event.event_id))),
    )
    return EventGroup(enriched.fingerprint, [enriched])


def _event(sample: dict[str, Any]) -> wire.Event:
    now = timezone.now()
    event = {
        "event_id": uuid.uuid4(),
        "mode": "exec",
        "observed_at": now,
        "last_at": now,
        "kind": sample["kind"],
        "outcome": sample.get("outcome", "none"),
        "process": {
            "name": sample["name"],
            "path": sample["path"],
            "argv": sample["argv"],
            "pid": 4242,
            "uid": 0,
            "sha256": "0" * 64,
            "hash_status": "ok",
            "parent": {"name": "sh", "path": "/bin/sh", "pid": 4200},
        },
        "container": {
            "id": "0" * 64,
            "name": "sample",
            "runtime": "containerd",
            "image_name": "docker.io/library/sample:1",
            "namespace": "sample",
            "pod_name": "sample-0",
        },
    }
    return msgspec.convert(event, wire.Event)
