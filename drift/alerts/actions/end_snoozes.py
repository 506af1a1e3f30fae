"""End the snooze of dismissed alerts when the binary appears in another workload."""

from __future__ import annotations

from django.db.models import F, Q
from django.utils import timezone

from drift.alerts.models import ActivityKind, Alert, AlertActivity, Binary, Status, Workload


def end_snoozes(sightings: list[tuple[int, int]]) -> None:
    """End the snoozes that wait for one of these new (workload id, binary id) pairs.

    A binary is the same if its content is, or its path where the content is unknown. A new release of a workload has
    the same scope, and is not another workload.
    """
    waiting = Alert.objects.filter(status=Status.DISMISSED, until_spread=True)
    workloads = Workload.objects.in_bulk({workload for workload, _ in sightings})
    binaries = Binary.objects.in_bulk({binary for _, binary in sightings})
    for workload_id, binary_id in sightings:
        workload, binary = workloads[workload_id], binaries[binary_id]
        same = Q(binary__sha256=binary.sha256) if binary.sha256 else Q(binary__sha256="", binary__path=binary.path)
        # In fingerprint order, as ingest and triage lock alerts, so that none of them deadlock.
        locked = waiting.select_for_update(of=("self",), no_key=True).filter(same).order_by("fingerprint")
        alerts = list(locked.exclude(workload__scope=workload.scope).values_list("pk", flat=True))
        now = timezone.now()
        Alert.objects.filter(pk__in=alerts).update(
            until_spread=False, quiet_until=now, changed_at=now, revision=F("revision") + 1
        )
        # With its place: the timeline names the workload only to those who see it.
        after = {"workload": str(workload), "cluster": workload.cluster_id, "namespace": workload.namespace}
        AlertActivity.objects.bulk_create(
            AlertActivity(alert_id=pk, kind=ActivityKind.SPREAD, after=after) for pk in alerts
        )
