"""Record since when conditions hold, and notify of those that begin."""

from __future__ import annotations

import hashlib

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from drift.fleet.models import Sensor
from drift.health.actions.health_report import SYSTEM, HealthFinding, health_report
from drift.health.models import ConditionStart
from drift.notify.actions.notices import notify_conditions
from drift.notify.models import Kind, PendingNotice


@transaction.atomic
def record_health() -> None:
    """Record when each condition began, and notify subscribers of each that does; of sensors the first, as on the page.

    Called every minute, also twice at once.
    """
    report = health_report(SYSTEM)
    findings = report.failing
    codes = [each.condition.code for each in findings]
    # What could not be checked this time may hold all the while.
    ConditionStart.objects.filter(code__in=[each.condition.code for each in report.well]).delete()
    now = timezone.now()
    ConditionStart.objects.bulk_create(
        [ConditionStart(code=code, began_at=now) for code in sorted(codes)], ignore_conflicts=True
    )
    notify_conditions(Kind.HEALTH, [notice for each in findings for notice in _notices(each)])


def _notices(finding: HealthFinding) -> list[PendingNotice]:
    path, condition, outcome = reverse("health:page"), finding.condition, finding.outcome
    if outcome.is_named:
        key = f"{condition.code} {hashlib.sha256(outcome.detail.encode()).hexdigest()[:16]}"
        return [PendingNotice(key=key, title=f"{condition.title}: {outcome.detail}"[:256], path=path)]
    if not condition.of_sensors:
        return [PendingNotice(key=condition.code, title=f"{condition.title}: {condition.fails}", path=path)]
    return [
        PendingNotice(
            key=f"{condition.code} {sensor.pk}",
            title=f"{condition.title}: {sensor.node} in {sensor.cluster.name}",
            path=path,
        )
        for sensor in outcome.sensors
        if isinstance(sensor, Sensor)
    ]
