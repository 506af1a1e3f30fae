"""Believe a version number that this portal never issued only with the signed bundle that proves it.

A portal that was restored from an older backup numbers its next version above what its sensors run, or they would
reject it. A sensor's word is not enough for that: one stolen credential could use up the numbers.
"""

from __future__ import annotations

import base64
import logging

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from drift.fleet.actions.delivery import acknowledge_applied
from drift.fleet.errors import FleetError
from drift.fleet.models import Sensor, SigningKey
from drift.policy.actions.versions import raise_number_floor
from drift.policy.models import PolicyVersion
from sensor import wire

logger = logging.getLogger(__name__)


def record_number_proof(sensor: Sensor, bundle: wire.SignedPolicy) -> bool:
    """Number the next version above the bundle's, if this portal did not issue it; return whether the floor rose.

    Raises FleetError 422 `proof_invalid`: not signed with a key that is not retired, or not a payload. A retired key
    proves nothing: its private half may have been stolen.
    """
    payload = _verified_payload(bundle)
    digest = PolicyVersion.objects.filter(pk=payload.number).values_list("digest", flat=True).first()
    if digest == payload.digest:
        return False
    logger.warning("sensor %s proves version %s, which this portal did not issue", sensor.pk, payload.number)
    if digest is None:
        acknowledge_applied(sensor, payload.number)
    return raise_number_floor(payload.number)


def _verified_payload(bundle: wire.SignedPolicy) -> wire.BundlePayload:
    key = SigningKey.objects.filter(key_id=bundle.key_id[:32], retired_at=None).first()
    if key is None:
        raise _invalid("It is not signed with a key of this portal.")
    try:
        payload = base64.b64decode(bundle.payload, validate=True)
        signature = base64.b64decode(bundle.signature, validate=True)
        Ed25519PublicKey.from_public_bytes(bytes(key.public_key)).verify(signature, payload)
        return msgspec.json.decode(payload, type=wire.BundlePayload)
    except (InvalidSignature, ValueError, RecursionError):
        raise _invalid("Its signature or its payload is not valid.") from None


def _invalid(reason: str) -> FleetError:
    return FleetError("proof_invalid", f"This bundle proves nothing. {reason}", status=422)
