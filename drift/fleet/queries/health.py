"""Trouble in the fleet: each kind that occurs now, how many sensors have it, and the first of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import Viewer
from drift.fleet.domain.sensor_health import (
    LAGGING_AFTER,
    OFFLINE_AFTER,
    RECENT_LOSSES,
    RECREATED_WITHIN,
    SHARED_RETURNS,
    SHARED_WITHIN,
    UNPROVEN_AFTER,
)
from drift.fleet.models import Bundle, Delivery, Sensor
from drift.fleet.queries.rollouts import OPEN_STATES
from drift.fleet.queries.sensors import ACTIVE, visible_sensors
from drift.fleet.queries.signing_keys import accepted_keys

SHOWN: Final = 20


@dataclass(frozen=True)
class HealthNotice:
    """One kind of trouble: `code` for API clients, title and advice for people, the first SHOWN of its sensors."""

    code: str
    title: str
    advice: str
    count: int
    sensors: list[Sensor]


KINDS: Final = (
    (
        "shared",
        "Shared credentials",
        "Several processes use one credential: a state directory was copied or stolen. Revoke, release, enrol again.",
    ),
    (
        "contested",
        "Two machines use one node name",
        "A sensor that another machine replaced reports again. Give the nodes different names, or enrol the right one.",
    ),
    (
        "keys",
        "Sensors reject every policy",
        "They accept none of the current signing keys: they were away while keys changed. Enrol their nodes again.",
    ),
    (
        "dark",
        "Sensors are offline",
        "No heartbeat for three minutes. Check the node, its network and the sensor's log.",
    ),
    (
        "paused",
        "Blocking is paused under a rule",
        "The rule stopped many files in several workloads at once. Check it; the sensor's page names it.",
    ),
    (
        "unproven",
        "Detection is not proven",
        "No canary arrived for two hours, although one is due every hour. The sensor's log says where it was lost.",
    ),
    (
        "expired",
        "Policy bundles have expired",
        "Their bundle is older than BUNDLE_VALID_DAYS: somebody holds newer ones back, or their clock is wrong.",
    ),
    ("lag", "Sensors lag behind", "They have not applied a version that was rolled out to them over 30 minutes ago."),
    (
        "losses",
        "Events are being lost",
        "Executions were missed within the last hour; the sensor's page has the reasons.",
    ),
    (
        "recreated",
        "Nodes were recreated",
        "Another machine took over the node of a silent sensor within a day. If that is unexpected, revoke it.",
    ),
    (
        "gaps",
        "Containers are monitored in part",
        "Not all of their files can be judged; the sensor's page names them and the reasons.",
    ),
    (
        "fallback",
        "Capture fell back to fanotify",
        "These nodes support eBPF, but their sensors do not use it: they see less and block less.",
    ),
)
"""Worst first."""


def health_notices(viewer: Viewer) -> list[HealthNotice]:
    """Return the kinds of trouble that occur now, in the order of KINDS, of active sensors; two queries a kind."""
    conditions = _conditions(timezone.now())
    notices = []
    for code, title, advice in KINDS:
        rows = visible_sensors(viewer).filter(ACTIVE & conditions[code])
        if count := rows.count():
            first = list(rows.order_by("cluster__name", "node", "pk")[:SHOWN])
            notices.append(HealthNotice(code, title, advice, count, first))
    return notices


def _conditions(now: dt.datetime) -> dict[str, Q]:
    """Return the condition of each kind on a sensor."""
    online = Q(status__last_seen_at__gte=now - OFFLINE_AFTER)
    overdue = Delivery.objects.filter(sensor=OuterRef("pk"), state__in=OPEN_STATES, created_at__lt=now - LAGGING_AFTER)
    valid = dt.timedelta(days=settings.BUNDLE_VALID_DAYS)
    newer = Bundle.objects.filter(created_at__gt=OuterRef("bundle_at"), created_at__lt=now - LAGGING_AFTER)
    key_ids = [key.key_id for key in accepted_keys()]
    return {
        "contested": Q(contested_at__gte=now - RECREATED_WITHIN),
        "recreated": Q(took_over_at__gte=now - RECREATED_WITHIN),
        "keys": Q(status__key_ids__isnull=False) & ~Q(status__key_ids__overlap=key_ids),
        "shared": Q(status__returns__gte=SHARED_RETURNS, status__returned_at__gte=now - SHARED_WITHIN),
        "dark": Q(status=None) | Q(status__last_seen_at__lt=now - OFFLINE_AFTER),
        "unproven": online
        & Q(cluster__environment__proved_since__lt=now - UNPROVEN_AFTER, enrolled_at__lt=now - UNPROVEN_AFTER)
        & (Q(proof=None) | Q(proof__seen_at__lt=now - UNPROVEN_AFTER)),
        # Newer ones existed for a while: after an upgrade, or an outage of beat, sensors have yet to fetch theirs.
        "expired": online & Q(bundle_at__lt=now - valid) & Q(Exists(newer)),
        "lag": online & Q(Exists(overdue)),
        "losses": Q(status__lost_at__gte=now - RECENT_LOSSES),
        "paused": online & ~Q(status__paused_rules=[]),
        "gaps": online & Q(status__gap_count__gt=0),
        "fallback": Q(status__capabilities__contains=["ebpf"]) & ~Q(status__backend__in=["ebpf", ""]),
    }
