"""An event as ingest works on it: decoded, decided, and placed among workloads, binaries and fingerprints."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import msgspec

from drift.alerts.domain.fingerprints import FingerprintCounter
from drift.fleet.models import Sensor
from sensor import wire


@dataclass(frozen=True)
class BatchSource:
    """Where a batch comes from: all of it from the sensor's credential, nothing from a body."""

    sensor: Sensor
    provider: str
    account: str
    cluster_id: int
    cluster_name: str
    environment_id: int

    @classmethod
    def of(cls, sensor: Sensor) -> BatchSource:
        environment = sensor.cluster.environment
        cluster = sensor.cluster
        return cls(sensor, environment.provider, environment.account, cluster.pk, cluster.name, cluster.environment_id)

    def facts(self, event: wire.Event) -> dict[str, Any]:
        """The flat event that the policy looks at."""
        return wire.flatten(event, self.provider, self.account, self.cluster_name)


class EnrichedEvent(msgspec.Struct, gc=False):
    """One event with everything that storing it needs. `keep_detail`: the rate limit lets its detail in."""

    event: wire.Event
    decision: wire.Decision
    workload_id: int
    binary_id: int
    series: FingerprintCounter
    keep_detail: bool = True

    @property
    def fingerprint(self) -> uuid.UUID:
        return self.series.fingerprint

    @property
    def alerts(self) -> bool:
        return self.decision.action != "ignore"

    @property
    def hour(self) -> dt.datetime:
        """The start of the hour (UTC) that the event counts to."""
        return self.event.observed_at.replace(minute=0, second=0, microsecond=0)


def detail(event: wire.Event) -> bytes:
    """What of an event is in no column of its own, as JSON."""
    process, container = event.process, event.container
    return _encode(
        {
            "argv": process.argv,
            "argv_truncated": process.argv_truncated,
            "cwd": process.cwd,
            "uid": process.uid,
            "pid": process.pid,
            "started_at": process.started_at,
            "hash_status": process.hash_status,
            "size": process.size,
            "copy_of": process.copy_of,
            "via": process.via,
            "parent": process.parent,
            "written_by": process.written_by,
            "ancestors": process.ancestors,
            "runtime": container.runtime,
            "pod_uid": container.pod_uid,
            "identity": event.identity,
            "truncated": event.truncated,
        }
    )


_encode = msgspec.json.Encoder().encode
