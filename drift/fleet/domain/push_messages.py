"""What the portal says to the push gateway, and the tickets that let a sensor in.

Shared by both sides; the gateway has no Django and no database, so neither has this module. A push
is a hint: a sensor that gets one asks for its policy, so one too many costs a 304, one too few a wait.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid

import msgspec

CHANNEL = "driftwatch:push"
LATEST = "driftwatch:push:latest"
"""The last policy push to everybody or to a chunk, for a gateway that missed it."""
TICKET_SECONDS = 60
"""Long enough to open a stream with it, too short to be worth stealing."""
_PURPOSE = b"driftwatch stream ticket:"


class PushMessage(msgspec.Struct, omit_defaults=True):
    """One publication. `number` None says only the epoch; `sensors` None means all.

    `within`: seconds over which those told spread their questions, each at a moment of its choice.
    `closed` names sensors whose streams must end: they were revoked or released.
    """

    epoch: int
    number: int | None = None
    etag: str = ""
    sensors: list[str] | None = None
    within: float = 0.0
    closed: list[str] = []


class TicketBody(msgspec.Struct, array_like=True):
    """Who may open a stream, and until when (Unix seconds)."""

    sensor: str
    expires: float


def encode_push(message: PushMessage) -> bytes:
    """The bytes on the channel."""
    return msgspec.json.encode(message)


def decode_push(raw: bytes) -> PushMessage:
    """A message from the channel. Raises msgspec.DecodeError."""
    return msgspec.json.decode(raw, type=PushMessage)


def issue_ticket(sensor: uuid.UUID, expires: float, secret: str) -> str:
    """Text that opens this sensor's stream until `expires` and does nothing else."""
    body = msgspec.json.encode(TicketBody(str(sensor), expires))
    return f"{_text(body)}.{_text(_digest(body, secret))}"


def check_ticket(text: str, now: float, secret: str) -> str | None:
    """The sensor's id, or None where the ticket is forged, garbled or past its time."""
    body, _, mark = text.partition(".")
    try:
        raw, given = _bytes(body), _bytes(mark)
    except ValueError:
        return None
    if not hmac.compare_digest(_digest(raw, secret), given):
        return None
    ticket = msgspec.json.decode(raw, type=TicketBody)
    return ticket.sensor if now < ticket.expires else None


def _digest(body: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), _PURPOSE + body, hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
