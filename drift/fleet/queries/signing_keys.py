"""Signing keys as page and command list them."""

from __future__ import annotations

from dataclasses import dataclass

from drift.fleet.actions.bundles import signing_key
from drift.fleet.actions.signing_keys import active, unaware
from drift.fleet.models import SigningKey


@dataclass(frozen=True)
class KeyLine:
    """A key, what it does (`signing`, `waiting`, `accepted`, `retired`), and how many active sensors accept it."""

    key: SigningKey
    role: str
    known: int
    total: int

    @property
    def may_be_promoted(self) -> bool:
        """Whether every active sensor accepts what it would sign."""
        return self.role in {"waiting", "accepted"} and self.known >= self.total


def key_lines() -> list[KeyLine]:
    """Newest first; one query a key that is not retired, of which there are few."""
    total, signer = active().count(), signing_key()
    return [_line(key, signer, total) for key in SigningKey.objects.order_by("-created_at")]


def _line(key: SigningKey, signer: SigningKey, total: int) -> KeyLine:
    role = _role(key, signer)
    return KeyLine(key, role, 0 if role == "retired" else max(total - unaware(key).count(), 0), total)


def _role(key: SigningKey, signer: SigningKey) -> str:
    if key.retired_at:
        return "retired"
    if key.pk == signer.pk:
        return "signing"
    return "accepted" if key.promoted_at else "waiting"
