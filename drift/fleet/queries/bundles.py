"""Signed bundles that exist, and the facts that a bundle is made from."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from accounts.encryption import secret_keys
from drift.fleet.domain import signing
from drift.fleet.models import Bundle, FleetState, Sensor, SigningKey
from drift.fleet.queries.signing_keys import usable_key
from drift.policy.models import NumberFloor, PolicyVersion
from sensor import wire

# Every sensor's fetch reads this. The ORM takes longer to build the query than PostgreSQL to answer it.
_FACTS: Final = """
SELECT digest, version.created_at, blocking_stopped, greatest(blocking_changed_at, keys_changed_at, refreshed_at)
FROM fleet_fleetstate, policy_policyversion AS version WHERE version.number = %s
"""


@dataclass(frozen=True)
class BundleFacts:
    """All that a bundle follows from: the version, and the fleet's state when it was dated."""

    number: int
    digest: str
    created_at: dt.datetime
    blocking_stopped: bool


def bundle_facts(number: int, state: FleetState | None = None) -> BundleFacts:
    """Return the facts of version `number` now; `state` stands in for the stored row while it is being changed."""
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [number])
        digest, created_at, stopped, changed_at = cursor.fetchone()
    if state:
        stopped, changed_at = state.blocking_stopped, max(_dates(state))
    return BundleFacts(number, digest, max(created_at, changed_at), stopped)


def _dates(state: FleetState) -> list[dt.datetime]:
    return [state.blocking_changed_at, state.keys_changed_at, state.refreshed_at]


def stored_bundle(facts: BundleFacts) -> Bundle | None:
    """Return the bundle of these facts; None where no request has made it yet."""
    rows = Bundle.objects.select_related("key")
    found: Bundle | None = rows.filter(
        version_id=facts.number, blocking_stopped=facts.blocking_stopped, created_at=facts.created_at
    ).first()
    return found


def next_bundle_date(state: FleetState, newest: PolicyVersion | None) -> dt.datetime:
    """Return the date of a change to `state`: now, but later than the date of any bundle so far."""
    # Of two bundles with the same number sensors apply the later one, and the clocks of two portal hosts may differ.
    dates = [*_dates(state), *([newest.created_at] if newest else [])]
    return max(timezone.now(), max(dates) + dt.timedelta(microseconds=1))


def bundle_date(etag: str) -> dt.datetime | None:
    """Return the date of the bundle with this ETag; None where this portal made no such bundle."""
    try:
        return _cached_bundle_date(etag) if etag else None
    except Bundle.DoesNotExist:
        return None


def needs_proof(number: int, etag: str) -> bool:
    """Return whether a sensor should prove this bundle: not issued here, and not numbered below what is issued next."""
    if not number or not etag or bundle_date(etag) is not None:
        return False
    if NumberFloor.objects.filter(number__gte=number).exists():
        return False
    return not PolicyVersion.objects.filter(number__gt=number).exists()


@functools.lru_cache(maxsize=64)
def _cached_bundle_date(etag: str) -> dt.datetime:
    # The cache keeps no exception: another process may still make the bundle.
    found: dt.datetime = Bundle.objects.values_list("created_at", flat=True).get(etag=etag)
    return found


def sensor_signature(sensor: Sensor, bundle: Bundle, known_keys: Collection[str] | None) -> tuple[str, bytes]:
    """Return key id and signature of `bundle` for a sensor that accepts `known_keys`.

    A sensor that was away while keys rotated gets the signature of an older key that is not retired yet; the payload
    names the new keys. `known_keys` None: an older sensor, which accepts what its enrolment gave it.
    """
    if known_keys is None:
        is_known, filters = bundle.key.created_at <= sensor.enrolled_at, Q(created_at__lte=sensor.enrolled_at)
    else:
        is_known, filters = bundle.key_id in known_keys, Q(key_id__in=list(known_keys)[: wire.MAX_KEYS])
    key = None if is_known else usable_key(filters)
    if key is None:  # Without a key that it accepts the sensor rejects the bundle and reports that it must enrol again.
        return bundle.key_id, bytes(bundle.signature)
    return key.key_id, _cached_signature(bundle.etag, key.key_id)


@functools.lru_cache(maxsize=64)
def _cached_signature(etag: str, key_id: str) -> bytes:
    bundle, key = Bundle.objects.get(etag=etag), SigningKey.objects.get(key_id=key_id)
    return signing.sign(bytes(bundle.payload), bytes(key.sealed_private_key), secret_keys())
