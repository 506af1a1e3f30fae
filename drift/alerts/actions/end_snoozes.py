"""Ending the quiet of dismissed alerts whose binary shows up in another workload."""

from __future__ import annotations

from django.db.models import F, Q
from django.utils import timezone

from drift.alerts.models import ActivityKind, Alert, AlertActivity, Binary, Status, Workload

Pair = tuple[int, int]


def end_snoozes(pairs: list[Pair]) -> None:
    """`pairs` (workload, binary) are new in the estate: whoever waited for one of them is told.

    Another workload is one of another scope: a new release of the same one is no spread. The same
    binary is the same content, or the same path where no content is known.
    """
    waiting = Alert.objects.filter(status=Status.DISMISSED, until_spread=True)
    if not waiting.exists():
        return
    binaries = Binary.objects.in_bulk({binary for _, binary in pairs})
    workloads = Workload.objects.in_bulk({workload for workload, _ in pairs})
    for workload, binary in pairs:
        _end(workloads[workload], binaries[binary])


def _end(workload: Workload, binary: Binary) -> None:
    same = Q(binary__sha256=binary.sha256) if binary.sha256 else Q(binary__sha256="", binary__path=binary.path)
    found = (
        Alert.objects.select_for_update(of=("self",), no_key=True)
        .filter(same, status=Status.DISMISSED, until_spread=True)
        .exclude(workload__scope=workload.scope)
        .order_by("fingerprint")
        .values_list("pk", flat=True)
    )
    alerts = list(found)
    now = timezone.now()
    Alert.objects.filter(pk__in=alerts).update(
        until_spread=False, quiet_until=now, changed_at=now, revision=F("revision") + 1
    )
    AlertActivity.objects.bulk_create(
        AlertActivity(alert_id=pk, kind=ActivityKind.SPREAD, after={"workload": str(workload)}) for pk in alerts
    )
