"""An estate, and events of it that the portal has stored."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from drift.alerts.actions.partitions import keep_partitions
from drift.alerts.domain.fingerprints import digest, fingerprint
from drift.alerts.models import Binary, DriftEvent, Workload
from drift.fleet.models import Cluster, Environment

NOW = dt.datetime.now(dt.UTC)
TODAY = NOW.date()


@pytest.fixture
def cluster(db: None) -> Cluster:
    keep_partitions()
    environment = Environment.objects.create(provider="azure", account="sub-1", name="Shop")
    return Cluster.objects.create(
        environment=environment, name="blue", distribution="aks", kubernetes_version="v1.31.2"
    )


@pytest.fixture
def store(cluster: Cluster) -> Callable[..., DriftEvent]:
    """Return a function that stores one event; properties that are not given are the same for all."""

    def workload(namespace: str, image: str) -> Workload:
        days = {"first_seen_on": TODAY, "last_seen_on": TODAY}
        facts = {"cluster": cluster, "namespace": namespace, "image_name": image, "container_name": "app"}
        row, _ = Workload.objects.get_or_create(
            digest=digest(namespace, image), defaults={**facts, **days, "scope": digest(namespace)}
        )
        return row

    def binary(path: str, kind: str) -> Binary:
        days = {"first_seen_on": TODAY, "last_seen_on": TODAY}
        facts = {"path": path, "name": path.rpartition("/")[2], "sha256": "a" * 64, "kind": kind}
        row, _ = Binary.objects.get_or_create(digest=digest(path, kind), defaults={**facts, **days})
        return row

    def stored(
        namespace: str = "shop",
        path: str = "/tmp/xmrig",
        *,
        image: str = "ghcr.io/team/app:1.2",
        kind: str = "new_file",
        pod: str = "cart-1",
        parent: str = "bash",
        count: int = 1,
        days_ago: int = 0,
        **fields: Any,
    ) -> DriftEvent:
        at = NOW - dt.timedelta(days=days_ago)
        place, file = workload(namespace, image), binary(path, kind)
        scope = (cluster.pk, namespace, "", "", "app")
        facts = {
            "observed_on": at.date(),
            "sensor_id": uuid.uuid4(),
            "event_id": uuid.uuid4(),
            "mode": "exec" if count == 1 else "summary",
            "count": count,
            "observed_at": at,
            "last_at": at,
            "workload": place,
            "binary": file,
            "fingerprint": fingerprint(scope, path, file.sha256),
            "parent_name": parent,
            "pod_name": pod,
            "container_id": "c" * 64,
            "action": "ignore",
            "rule": "default",
            "reason": "default",
            "policy_number": 1,
            "outcome": "none",
            "outcome_reason": "",
            "provenance_id": 0,  # not known
        }
        return DriftEvent.objects.create(**facts | fields)

    return stored
