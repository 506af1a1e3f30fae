"""Signing keys and signed bundles: made at first use, the same whoever makes them."""

from __future__ import annotations

import datetime as dt
import functools
import logging

from django.conf import settings
from django.db import connection, transaction

from drift.fleet import signing
from drift.fleet.models import Bundle, FleetState, SigningKey
from drift.policy.models import PolicyVersion

logger = logging.getLogger(__name__)


def signing_key() -> SigningKey:
    """The newest key that is neither retired nor sealed under another SECRET_KEY; made if there is none."""
    return _usable_key() or _make_key()


def public_keys() -> list[SigningKey]:
    """Every key that a sensor should accept, newest first. There is always one."""
    signing_key()
    return list(SigningKey.objects.filter(retired_at=None).order_by("-created_at"))


def bundle_for(number: int, state: FleetState | None = None) -> Bundle:
    """The signed bundle that sensors whose desired version is `number` should obey now.

    Its payload follows from the version and the fleet's state alone, so two requests that make it
    at once make the same bytes, and one of the two rows is stored.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [number])
        stopped, changed_at, digest, created_at = cursor.fetchone()
    if state:  # the caller's, not stored yet
        stopped, changed_at = state.blocking_stopped, state.blocking_changed_at
    return _bundle(number, digest, max(created_at, changed_at), stopped)


_FACTS = """
SELECT blocking_stopped, blocking_changed_at, digest, version.created_at
FROM fleet_fleetstate, policy_policyversion AS version WHERE version.number = %s
"""
"""What a bundle follows from; asked by every call for a policy, so past the ORM."""


@functools.lru_cache(maxsize=32)
def _bundle(number: int, digest: str, created_at: dt.datetime, stopped: bool) -> Bundle:  # noqa: FBT001 - a key
    """Bundles never change, and most sensors want the same few: each process keeps them."""
    found = Bundle.objects.filter(version_id=number, blocking_stopped=stopped, created_at=created_at).first()
    return found or _make_bundle(PolicyVersion.objects.get(pk=number), created_at, stopped=stopped)


def _make_bundle(version: PolicyVersion, created_at: dt.datetime, *, stopped: bool) -> Bundle:
    key = signing_key()
    payload = signing.payload(version.number, version.digest, created_at, version.document, blocking_stopped=stopped)
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


def _usable_key() -> SigningKey | None:
    for key in SigningKey.objects.filter(retired_at=None).order_by("-created_at"):
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
        key = SigningKey.objects.create(key_id=new.key_id, public_key=new.public, sealed_private_key=new.sealed)
        logger.info("made signing key %s", key.key_id)
    return key
