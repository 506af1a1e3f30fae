"""Messages from the portal to the push gateway, and the tickets with which sensors open a stream.

Portal and gateway share this module. The gateway has neither Django nor a database, so neither has this module. A push
is a hint: the sensor that receives one fetches its policy, so a needless push costs a 304 and a lost one a delay.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from typing import Final

import msgspec

from sensor.wire import json_bytes

CHANNEL: Final = "driftwatch:push"
LATEST: Final = "driftwatch:push:latest"
"""Key of the last policy push, for gateways that missed it."""
TICKET_SECONDS: Final = 60
"""Long enough to open a stream, too short for a stolen ticket to be useful."""
_PURPOSE: Final = b"driftwatch stream ticket:"


class PushMessage(msgspec.Struct, omit_defaults=True):
    """One message on the channel. Without `number` it carries the epoch alone; without `sensors` it is for all.

    `within`: seconds over which the sensors spread their fetches, each at a random moment.
    `closed`: sensors that were revoked or released, whose streams must end.
    `request_id`: of the request that caused it, for the gateway's log.
    """

    epoch: int
    number: int | None = None
    etag: str = ""
    sensors: list[str] | None = None
    within: float = 0.0
    closed: list[str] = []
    request_id: str = ""


class TicketBody(msgspec.Struct, array_like=True):
    """The sensor that may open a stream, and when the ticket expires (Unix seconds)."""

    sensor: str
    expires: float


def encode_push(message: PushMessage) -> bytes:
    """Return the message as bytes for the channel."""
    return msgspec.json.encode(message)


def decode_push(raw: bytes) -> PushMessage:
    """Return the message that the channel carried. Raises msgspec.DecodeError."""
    return json_bytes.decode(raw, PushMessage)


def issue_ticket(sensor: uuid.UUID, expires: float, secret: str) -> str:
    """Return a ticket that opens this sensor's stream until `expires`, and permits nothing else."""
    body = msgspec.json.encode(TicketBody(str(sensor), expires))
    return f"{_base64(body)}.{_base64(_mac(body, secret))}"


def check_ticket(ticket: str, now: float, secret: str) -> TicketBody | None:
    """Return what the ticket permits; None where it is forged, malformed or expired."""
    first, _, second = ticket.partition(".")
    try:
        body, mac = _bytes(first), _bytes(second)
    except ValueError:
        return None
    if not hmac.compare_digest(_mac(body, secret), mac):
        return None
    content = msgspec.json.decode(body, type=TicketBody)
    return content if now < content.expires else None


def _mac(body: bytes, secret: str) -> bytes:
    # The prefix keeps a MAC that another part of the portal makes with the same secret from being a valid ticket.
    return hmac.digest(secret.encode(), _PURPOSE + body, hashlib.sha256)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
