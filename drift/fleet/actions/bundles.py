"""Signing keys and signed bundles: made at first use, the same whoever makes them."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Greatest

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
    state = state or FleetState.objects.get()
    found = Bundle.objects.filter(
        version_id=number,
        blocking_stopped=state.blocking_stopped,
        created_at=Greatest("version__created_at", state.blocking_changed_at),
    )
    return found.first() or _make_bundle(PolicyVersion.objects.get(pk=number), state)


def _make_bundle(version: PolicyVersion, state: FleetState) -> Bundle:
    key = signing_key()
    created_at = max(version.created_at, state.blocking_changed_at)
    payload = signing.payload(
        version.number, version.digest, created_at, version.document, blocking_stopped=state.blocking_stopped
    )
    bundle, _ = Bundle.objects.get_or_create(
        version=version,
        blocking_stopped=state.blocking_stopped,
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
