"""The conditions that are counted in sensors: how many have each now, since when, and the first of them."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, DateTimeField, Exists, F, Min, OuterRef, Q, Subquery, Value
from django.db.models.expressions import Combinable, ExpressionWrapper
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from accounts.models import Viewer
from drift.fleet.domain.sensor_health import (
    LAGGING_AFTER,
    RECENT_LOSSES,
    RECREATED_WITHIN,
    SHARED_RETURNS,
    SHARED_WITHIN,
    UNPROVEN_AFTER,
)
from drift.fleet.models import Bundle, Delivery, Environment
from drift.fleet.queries.rollouts import OPEN_STATES
from drift.fleet.queries.sensors import ACTIVE, offline, visible_active_sensors, visible_sensors
from drift.fleet.queries.sensors import online as online_filter
from drift.fleet.queries.signing_keys import accepted_keys
from drift.health.domain.outcomes import CheckOutcome, not_checked, ok
from drift.health.domain.releases import is_older
from drift.policy.models import PolicyVersion
from sensor.policy.decisions import blocking_rules

SHOWN: Final = 20
CLOCK_SECONDS: Final = 60
SETTLED: Final = dt.timedelta(minutes=2)
"""After a sensor applied a version its next heartbeat shows what it can do with it."""


@dataclass(frozen=True)
class _Rule:
    """`holds` is the condition on a sensor; `since` when it began there, None where no column has that."""

    holds: Q
    since: Combinable | None = None


def sensor_outcomes(viewer: Viewer) -> dict[str, CheckOutcome]:
    """Return the outcome of each condition that is counted in sensors, on the active sensors that the viewer sees.

    One query counts all of them, however large the fleet; each that holds costs one more, for its first sensors.
    """
    now = timezone.now()
    active = visible_active_sensors(viewer)
    rules = _rules(now, *_reported(viewer))
    counts = active.aggregate(
        total=Count("pk"),
        clockless=Count("pk", filter=online_filter(now) & Q(status__clock_offset=None)),
        **{code: Count("pk", filter=rule.holds) for code, rule in rules.items()},
        **{f"{code}_since": Min(rule.since, filter=rule.holds) for code, rule in rules.items() if rule.since},
    )
    found = {code: _outcome(viewer, code, rule, counts) for code, rule in rules.items()}
    return {**found, **_unknown(viewer, found, counts)}


def _outcome(viewer: Viewer, code: str, rule: _Rule, counts: dict[str, Any]) -> CheckOutcome:
    if not counts[code]:
        return ok()
    rows = visible_sensors(viewer).filter(ACTIVE & rule.holds).order_by("cluster__name", "node", "pk")
    first: list[object] = list(rows[:SHOWN])
    sensors = "sensor" if counts[code] == 1 else "sensors"
    return CheckOutcome("failing", f"{counts[code]} {sensors}", counts.get(f"{code}_since"), counts[code], first)


def _unknown(viewer: Viewer, found: dict[str, CheckOutcome], counts: dict[str, Any]) -> dict[str, CheckOutcome]:
    """Return what was not checked on every sensor, where it does not fail on one."""
    unknown = {}
    if found["sensor_clock"].state == "ok" and counts["clockless"]:
        older = counts["clockless"]
        do = "sensor of an older release does" if older == 1 else "sensors of an older release do"
        unknown["sensor_clock"] = not_checked(f"{older} {do} not report it")
    rows = Environment.objects.visible_to(viewer).filter(retired_at=None, sensor_enabled=True)
    enabled = list(rows.values_list("proved_since", flat=True))
    if found["unproven"].state == "ok" and None in enabled:
        off = f"{enabled.count(None)} of {len(enabled)} environments"
        unknown["unproven"] = not_checked(f"proof of detection is off in {off}: switch it on to have it checked")
    return unknown


def _reported(viewer: Viewer) -> tuple[list[int], list[str]]:
    """Return the numbers that the viewer's sensors apply, and the versions that they run."""
    rows = visible_active_sensors(viewer).values_list("applied_number", "status__sensor_version").distinct()
    pairs = list(rows.order_by())
    return sorted({number for number, _ in pairs if number}), sorted({version for _, version in pairs if version})


def _rules(now: dt.datetime, numbers: list[int], versions: list[str]) -> dict[str, _Rule]:
    online = online_filter(now)
    overdue = Delivery.objects.filter(sensor=OuterRef("pk"), state__in=OPEN_STATES, created_at__lt=now - LAGGING_AFTER)
    valid = dt.timedelta(days=settings.BUNDLE_VALID_DAYS)
    newer = Bundle.objects.filter(created_at__gt=OuterRef("bundle_at"), created_at__lt=now - LAGGING_AFTER)
    key_ids = [key.key_id for key in accepted_keys()]
    settled = online & Q(applied_at__lt=now - SETTLED) & ~Q(status__backend="")
    block, hold = (Q(status__capabilities__contains=[name]) for name in ("block", "hold"))
    expired_at = ExpressionWrapper(F("bundle_at") + Value(valid), output_field=DateTimeField())
    return {
        "unmonitored_kinds": _Rule(
            settled
            & Q(applied_number__in=_versions_that(numbers, "library"))
            & ~Q(status__capabilities__contains=["library"]),
            F("applied_at"),
        ),
        "unenforceable": _Rule(
            settled & Q(applied_number__in=_versions_that(numbers, "block")) & ~(block & hold), F("applied_at")
        ),
        "paused": _Rule(online & ~Q(status__paused_rules=[])),
        "quarantined": _Rule(Q(quarantined_at__isnull=False), F("quarantined_at")),
        "shared": _Rule(
            Q(status__returns__gte=SHARED_RETURNS, status__returned_at__gte=now - SHARED_WITHIN),
            F("status__returned_at"),
        ),
        "contested": _Rule(Q(contested_at__gte=now - RECREATED_WITHIN), F("contested_at")),
        "keys": _Rule(Q(status__key_ids__isnull=False) & ~Q(status__key_ids__overlap=key_ids)),
        "dark": _Rule(
            offline(now),
            Least(Coalesce("status__last_seen_at", "enrolled_at"), Value(now)),
        ),
        "unproven": _Rule(
            online
            & Q(cluster__environment__proved_since__lt=now - UNPROVEN_AFTER, enrolled_at__lt=now - UNPROVEN_AFTER)
            & (Q(proof=None) | Q(proof__seen_at__lt=now - UNPROVEN_AFTER)),
            Coalesce("proof__seen_at", "enrolled_at"),
        ),
        # Newer ones existed for a while: after an upgrade, or an outage of beat, sensors have yet to fetch theirs.
        "expired": _Rule(online & Q(bundle_at__lt=now - valid) & Q(Exists(newer)), expired_at),
        "lag": _Rule(online & Q(Exists(overdue)), Subquery(overdue.order_by("created_at").values("created_at")[:1])),
        "losses": _Rule(Q(status__lost_at__gte=now - RECENT_LOSSES)),
        "sensor_clock": _Rule(
            online & (Q(status__clock_offset__gt=CLOCK_SECONDS) | Q(status__clock_offset__lt=-CLOCK_SECONDS))
        ),
        "recreated": _Rule(Q(took_over_at__gte=now - RECREATED_WITHIN), F("took_over_at")),
        "gaps": _Rule(online & Q(status__gap_count__gt=0)),
        "fallback": _Rule(Q(status__capabilities__contains=["ebpf"]) & ~Q(status__backend__in=["ebpf", ""])),
        "outdated": _Rule(
            online
            & Q(status__sensor_version__in=[each for each in versions if is_older(each, settings.PORTAL_VERSION)])
        ),
    }


def _versions_that(numbers: list[int], what: str) -> list[int]:
    """Return those of the versions that `block`, or detect the kind `library`."""
    rows = PolicyVersion.objects.filter(pk__in=numbers).order_by("pk").values_list("pk", "digest")
    return [number for number, digest in rows if what in _demands(number, digest)]


@functools.lru_cache(maxsize=256)
def _demands(number: int, digest: str) -> frozenset[str]:
    """Return what a version demands of sensors. It never changes, and a document may have a thousand rules."""
    document = PolicyVersion.objects.values_list("document", flat=True).get(pk=number)
    return frozenset({*(["block"] if blocking_rules(document) else []), *({"library"} & set(document["detect"]))})
