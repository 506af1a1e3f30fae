"""Signed bundles, and the first key: made at first use, the same whoever makes them."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import logging
from collections.abc import Collection

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from drift.fleet.domain import signing
from drift.fleet.models import Bundle, FleetState, Sensor, SigningKey
from drift.policy.models import PolicyVersion
from sensor import wire

logger = logging.getLogger(__name__)


def signing_key() -> SigningKey:
    """The key promoted last of those neither retired nor sealed under another SECRET_KEY; made if there is none."""
    return _usable_key() or _make_key()


def public_keys() -> list[SigningKey]:
    """Every key that a sensor should accept, newest first. There is always one."""
    signing_key()
    return list(SigningKey.objects.filter(retired_at=None).order_by("-created_at"))


def public_half(key: SigningKey) -> wire.PublicKey:
    """As sensors get it."""
    return wire.PublicKey(key.key_id, base64.b64encode(bytes(key.public_key)).decode())


def signature_for(sensor: Sensor, bundle: Bundle, knows: Collection[str] | None) -> tuple[str, bytes]:
    """Key id and signature of `bundle` for a sensor that accepts the keys `knows`.

    One that was away while keys rotated gets the signature of an older key that is not retired yet; the
    payload tells it of the new ones. None: an older sensor, which accepts what its enrolment gave it.
    """
    if knows is None and bundle.key.created_at <= sensor.enrolled_at:
        return bundle.key_id, bytes(bundle.signature)
    if knows is not None and bundle.key_id in knows:
        return bundle.key_id, bytes(bundle.signature)
    theirs = Q(created_at__lte=sensor.enrolled_at) if knows is None else Q(key_id__in=list(knows)[: wire.MAX_KEYS])
    key = _usable_key(theirs)
    if key is None:  # it will say that it must enrol again
        return bundle.key_id, bytes(bundle.signature)
    return key.key_id, _signature(bundle.etag, key.key_id)


def date_of(etag: str) -> dt.datetime | None:
    """The date in the bundle of this ETag; None where this portal made none."""
    try:
        return _date_of(etag) if etag else None
    except Bundle.DoesNotExist:
        return None


@functools.lru_cache(maxsize=64)
def _date_of(etag: str) -> dt.datetime:
    """Raises Bundle.DoesNotExist, which is not remembered: another process may make it yet."""
    found: dt.datetime = Bundle.objects.values_list("created_at", flat=True).get(etag=etag)
    return found


@functools.lru_cache(maxsize=64)
def _signature(etag: str, key_id: str) -> bytes:
    bundle, key = Bundle.objects.get(etag=etag), SigningKey.objects.get(key_id=key_id)
    return signing.sign(bytes(bundle.payload), bytes(key.sealed_private_key), settings.SECRET_KEY)


def bundle_for(number: int, state: FleetState | None = None) -> Bundle:
    """The signed bundle that sensors whose desired version is `number` should obey now.

    Its payload follows from the version and the fleet's state alone, so two requests that make it
    at once make the same bytes, and one of the two rows is stored.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [number])
        stopped, changed_at, digest, created_at = cursor.fetchone()
    if state:  # the caller's, not stored yet
        stopped, changed_at = state.blocking_stopped, max(state.blocking_changed_at, state.keys_changed_at)
    return _bundle(number, digest, max(created_at, changed_at), stopped)


def bundle_file(number: int) -> bytes:
    """What a sensor gets that should obey version `number` now, as JSON: signed with the key that signs now.

    Raises PolicyVersion.DoesNotExist.
    """
    PolicyVersion.objects.only("number").get(pk=number)
    bundle = bundle_for(number)
    signature, payload = (base64.b64encode(bytes(raw)).decode() for raw in (bundle.signature, bundle.payload))
    return msgspec.json.encode(wire.Bundle(bundle.key_id, signature, payload))


def later_than(state: FleetState, newest: PolicyVersion | None) -> dt.datetime:
    """Now, but after all that a bundle may be dated by: at an equal number sensors obey the later date,
    and the clocks of two portal hosts may differ."""
    dates = [state.blocking_changed_at, state.keys_changed_at, *([newest.created_at] if newest else [])]
    return max(timezone.now(), max(dates) + dt.timedelta(microseconds=1))


_FACTS = """
SELECT blocking_stopped, greatest(blocking_changed_at, keys_changed_at), digest, version.created_at
FROM fleet_fleetstate, policy_policyversion AS version WHERE version.number = %s
"""
"""What a bundle follows from; asked by every call for a policy, so past the ORM."""


@functools.lru_cache(maxsize=32)
def _bundle(number: int, digest: str, created_at: dt.datetime, stopped: bool) -> Bundle:  # noqa: FBT001 - a key
    """Bundles never change, and most sensors want the same few: each process keeps them."""
    rows = Bundle.objects.select_related("key")
    found = rows.filter(version_id=number, blocking_stopped=stopped, created_at=created_at).first()
    return found or _make_bundle(PolicyVersion.objects.get(pk=number), created_at, stopped=stopped)


def _make_bundle(version: PolicyVersion, created_at: dt.datetime, *, stopped: bool) -> Bundle:
    key, keys = signing_key(), [public_half(each) for each in public_keys()]
    payload = signing.payload(
        version.number, version.digest, created_at, version.document, keys, blocking_stopped=stopped
    )
    bundle, _ = Bundle.objects.get_or_create(
        version=version,
        blocking_stopped=stopped,
        created_at=created_at,
        defaults={
            "payload": payload,
            "etag": signing.etag(payload),
            "key": key,
            "signature": signing.sign(payload, bytes(key.sealed_private_key), settings.SECRET_KEY),
        },
    )
    return bundle


def _usable_key(theirs: Q | None = None) -> SigningKey | None:
    keys = SigningKey.objects.filter(theirs or Q(), retired_at=None, promoted_at__isnull=False)
    for key in keys.order_by("-promoted_at"):
        if signing.can_unseal(bytes(key.sealed_private_key), settings.SECRET_KEY):
            return key
        logger.warning("signing key %s was sealed under another SECRET_KEY", key.key_id)
    return None


@transaction.atomic
def _make_key() -> SigningKey:
    """Two first requests must not make two keys: the fleet's one row is locked, then looked at again."""
    FleetState.objects.select_for_update().get()
    key = _usable_key()
    if key is None:
        new = signing.new_key(settings.SECRET_KEY)
        key = SigningKey.objects.create(
            key_id=new.key_id, public_key=new.public, sealed_private_key=new.sealed, promoted_at=timezone.now()
        )
        logger.info("made signing key %s", key.key_id)
    return key
