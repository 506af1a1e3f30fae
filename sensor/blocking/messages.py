"""What the sensor tells the process that holds execs: lines of JSON on a socket, each a whole truth of its own."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sensor.wire import Container


class Follow(msgspec.Struct, tag="follow"):
    """Decide by this policy (a normalised document, at this place) from now on."""

    document: dict[str, Any]
    provider: str
    account: str
    cluster_name: str


class Watch(msgspec.Struct, tag="watch"):
    """Hold the execs on the root filesystem that the host has mounted at `point`."""

    dev: int
    point: bytes
    lowers: list[bytes]
    upper: bytes
    container: Container
    kinds: int
    """What the kernel blocks there by itself: `plan.NEW` and so on."""


class Expect(msgspec.Struct, tag="expect"):
    """Keep the execs there for a moment: who it is, and with that a `Watch` or `Forget`, is on its way."""

    dev: int
    point: bytes


class Forget(msgspec.Struct, tag="forget"):
    """Hold nothing there any more."""

    dev: int
    point: bytes


Message = Follow | Watch | Expect | Forget
decoder: Final = msgspec.json.Decoder(Message)


def encoded(message: Message) -> bytes:
    return msgspec.json.encode(message) + b"\n"
