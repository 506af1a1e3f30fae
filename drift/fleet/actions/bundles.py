"""Signed bundles and the first signing key, both made when they are first needed.

Two requests that need the same bundle at once make the same bytes, and one of the two rows is stored.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import logging
from typing import Final

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.encryption import secret_keys
from drift.fleet.domain import signing
from drift.fleet.models import Bundle, FleetState, SigningKey
from drift.fleet.queries.bundles import BundleFacts, bundle_facts, stored_bundle
from drift.fleet.queries.signing_keys import accepted_keys, usable_key, wire_public_key
from drift.policy.models import PolicyVersion
from sensor import wire
from sensor.policy.document import decisive_document, lineage_rules

logger = logging.getLogger(__name__)

MAX_NUMBER: Final = 2_147_483_647
"""The greatest number that the column holds: PostgreSQL rejects a comparison with a greater one."""


def signed_bundle(number: int, state: FleetState | None = None) -> Bundle:
    """Return the bundle that sensors should apply whose desired version is `number`.

    `state` stands in for the stored fleet state while the caller is changing it.
    """
    return _cached_bundle(bundle_facts(number, state))


def bundle_file(number: int) -> bytes:
    """Return version `number` as JSON, as sensors receive it, signed with the active key.

    Raises PolicyVersion.DoesNotExist.
    """
    if number > MAX_NUMBER or not PolicyVersion.objects.filter(pk=number).exists():
        raise PolicyVersion.DoesNotExist
    bundle = signed_bundle(number)
    signature, payload = (base64.b64encode(bytes(raw)).decode() for raw in (bundle.signature, bundle.payload))
    return msgspec.json.encode(wire.SignedPolicy(bundle.key_id, signature, payload))


def public_keys() -> list[wire.PublicKey]:
    """Return every key that sensors should accept, newest first; at least one."""
    ensure_signing_key()
    return [wire_public_key(key) for key in accepted_keys()]


def ensure_signing_key() -> SigningKey:
    """Return the active key; make one where there is none that this SECRET_KEY decrypts."""
    return usable_key() or _make_key()


@functools.lru_cache(maxsize=32)
def _cached_bundle(facts: BundleFacts) -> Bundle:
    # A bundle never changes, and most sensors want one of the same few, so each process keeps them.
    return stored_bundle(facts) or _make_bundle(facts)


def _make_bundle(facts: BundleFacts) -> Bundle:
    version = PolicyVersion.objects.get(pk=facts.number)
    key, keys = ensure_signing_key(), public_keys()
    payload = signing.bundle_payload(
        version.number,
        version.digest,
        facts.created_at,
        decisive_document(version.document),
        keys,
        blocking_stopped=facts.blocking_stopped,
        expires_at=facts.created_at + dt.timedelta(days=settings.BUNDLE_VALID_DAYS),
        lineage_rules=lineage_rules(version.document),
    )
    bundle, _ = Bundle.objects.get_or_create(
        version=version,
        blocking_stopped=facts.blocking_stopped,
        created_at=facts.created_at,
        defaults={
            "payload": payload,
            "etag": signing.payload_etag(payload),
            "key": key,
            "signature": signing.sign(payload, bytes(key.sealed_private_key), secret_keys()),
        },
    )
    return bundle


@transaction.atomic
def _make_key() -> SigningKey:
    # Two first requests must not make two keys: the fleet's only row is locked, then the keys are read again.
    FleetState.objects.select_for_update().get()
    key = usable_key()
    if key is None:
        new = signing.new_key(secret_keys())
        key = SigningKey.objects.create(
            key_id=new.key_id, public_key=new.public, sealed_private_key=new.sealed, promoted_at=timezone.now()
        )
        logger.info("made signing key %s", key.key_id)
    return key
