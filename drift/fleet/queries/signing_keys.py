"""Signing keys: which one signs, which sensors accept, and the lines that page and command list."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from accounts.encryption import secret_keys
from drift.fleet.domain import signing
from drift.fleet.models import Sensor, SigningKey
from drift.fleet.queries.sensors import active_sensors
from sensor import wire

logger = logging.getLogger(__name__)


def usable_key(filters: Q | None = None) -> SigningKey | None:
    """Return the key promoted last of those neither retired nor encrypted under another SECRET_KEY."""
    keys = SigningKey.objects.filter(filters or Q(), retired_at=None, promoted_at__isnull=False)
    for key in keys.order_by("-promoted_at"):
        if signing.can_unseal(bytes(key.sealed_private_key), secret_keys()):
            return key
        logger.warning("signing key %s is encrypted under another SECRET_KEY", key.key_id)
    return None


def accepted_keys() -> list[SigningKey]:
    """Return every key that sensors should accept, newest first."""
    return list(SigningKey.objects.filter(retired_at=None).order_by("-created_at"))


def wire_public_key(key: SigningKey) -> wire.PublicKey:
    """Return the public key as sensors receive it."""
    return wire.PublicKey(key.key_id, base64.b64encode(bytes(key.public_key)).decode())


def unaware_sensors(key: SigningKey) -> QuerySet[Sensor]:
    """Return the active sensors that do not accept `key` yet."""
    lacks_key = ~Q(status__key_ids__contains=[key.key_id]) & Q(status__key_ids__isnull=False)
    # Older sensors do not report their keys: they accept what their enrolment gave them.
    predates_key = Q(status__key_ids__isnull=True, enrolled_at__lt=key.created_at)
    return active_sensors().filter(lacks_key | predates_key)


@dataclass(frozen=True)
class KeyLine:
    """A key, its role (`active`, `pending`, `accepted`, `retired`), and how many active sensors accept it."""

    key: SigningKey
    role: str
    known: int
    total: int

    @property
    def may_be_promoted(self) -> bool:
        """Whether every active sensor accepts its signatures."""
        return self.role in {"pending", "accepted"} and self.known >= self.total


def key_lines() -> list[KeyLine]:
    """Return all keys, newest first; one query for each key that is not retired, of which there are few."""
    total, active_key = active_sensors().count(), usable_key()
    lines = []
    for key in SigningKey.objects.order_by("-created_at"):
        role = _role(key, active_key)
        known = 0 if role == "retired" else max(total - unaware_sensors(key).count(), 0)
        lines.append(KeyLine(key, role, known, total))
    return lines


def _role(key: SigningKey, active_key: SigningKey | None) -> str:
    if key.retired_at:
        return "retired"
    if key == active_key:
        return "active"
    return "accepted" if key.promoted_at else "pending"
