"""What is wrong in the fleet now: each kind of trouble, how many sensors have it, and the first of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import Viewer
from drift.fleet.actions import sensor_processes as runs
from drift.fleet.actions.delivery import OPEN
from drift.fleet.models import Delivery, Sensor, SensorState, SigningKey
from drift.fleet.queries.environments import OFFLINE_AFTER, UNPROVEN_AFTER
from drift.fleet.queries.sensors import visible_sensors

LAGS_AFTER: Final = dt.timedelta(minutes=30)
"""Every sensor has polled several times by then (DESIGN: the 30-minute promise)."""
LOSSES_FOR: Final = dt.timedelta(hours=1)
SHOWN: Final = 20


@dataclass(frozen=True)
class HealthNotice:
    """One kind of trouble. `code` is for programs, the texts for people."""

    code: str
    title: str
    advice: str
    count: int
    sensors: list[Sensor]


KINDS: Final = (
    (
        "shared",
        "Credentials are used from two places",
        "Two processes take turns with it: a state folder was copied or stolen. Revoke it, release it, enrol again.",
    ),
    (
        "keys",
        "Sensors refuse every policy",
        "No signing key that they accept is left: they were away while keys changed. Enrol their nodes again.",
    ),
    ("dark", "Sensors are dark", "No heartbeat for three minutes: look at the node, its network and the sensor's log."),
    (
        "unproven",
        "Detection is not proven",
        "Their canary should come through every hour and did not: the sensor's log says where it got lost.",
    ),
    ("lag", "Sensors lag behind", "A version was meant for them over 30 minutes ago and they do not run it."),
    ("losses", "Losses rise", "Executions went unseen within the last hour; the sensor's page has the causes."),
    ("fallback", "Capture fell back", "They could use eBPF and do not: blocking and completeness suffer there."),
)


def health_notices(viewer: Viewer) -> list[HealthNotice]:
    """Those that hold now, worst first; two queries a kind, and one. Environments that are off have none."""
    now = timezone.now()
    conditions = {
        "keys": Q(status__key_ids__isnull=False) & ~Q(status__key_ids__overlap=_key_ids()),
        "shared": Q(status__returns__gte=runs.RETURNS, status__returned_at__gte=now - runs.WITHIN),
        "dark": Q(status=None) | Q(status__last_seen_at__lt=now - OFFLINE_AFTER),
        "unproven": Q(
            cluster__environment__proved_since__lt=now - UNPROVEN_AFTER,
            enrolled_at__lt=now - UNPROVEN_AFTER,
            status__last_seen_at__gte=now - OFFLINE_AFTER,
        )
        & (Q(proof=None) | Q(proof__seen_at__lt=now - UNPROVEN_AFTER)),
        "lag": Q(
            Exists(Delivery.objects.filter(sensor=OuterRef("pk"), state__in=OPEN, created_at__lt=now - LAGS_AFTER))
        )
        & Q(status__last_seen_at__gte=now - OFFLINE_AFTER),
        "losses": Q(status__lost_at__gte=now - LOSSES_FOR),
        "fallback": Q(status__capabilities__contains=["ebpf"]) & ~Q(status__backend__in=["ebpf", ""]),
    }
    found = []
    for code, title, advice in KINDS:
        rows = _watched(viewer).filter(conditions[code])
        if count := rows.count():
            found.append(
                HealthNotice(code, title, advice, count, list(rows.order_by("cluster__name", "node", "pk")[:SHOWN]))
            )
    return found


def _key_ids() -> list[str]:
    """Of the keys that sensors may accept."""
    return list(SigningKey.objects.filter(retired_at=None).values_list("key_id", flat=True))


def _watched(viewer: Viewer) -> QuerySet[Sensor]:
    return visible_sensors(viewer).filter(
        state=SensorState.LIVE, cluster__environment__sensor_enabled=True, cluster__environment__retired_at=None
    )
