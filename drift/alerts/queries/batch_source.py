"""The source of a sensor's batches."""

from __future__ import annotations

from drift.alerts.domain.enriched_events import BatchSource
from drift.fleet.models import Sensor


def batch_source(sensor: Sensor) -> BatchSource:
    """Return the sender and its origin. No query if the sensor was read with its cluster and environment."""
    cluster = sensor.cluster
    environment = cluster.environment
    return BatchSource(
        sensor_id=sensor.pk,
        node=sensor.node,
        desired_version=sensor.desired_version_id,
        provider=environment.provider,
        account=environment.account,
        cluster_id=cluster.pk,
        cluster_name=cluster.name,
        environment_id=cluster.environment_id,
        quarantined=sensor.quarantined_at is not None,
    )
