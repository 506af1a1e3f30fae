"""What the sensor tells the process that holds execs: lines of JSON on a socket, each a whole truth of its own."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sensor.wire import Container


class FollowPolicy(msgspec.Struct, tag="follow"):
    """Decide by this policy (a normalised document, at this place) from now on."""

    document: dict[str, Any]
    provider: str
    account: str
    cluster_name: str


class WatchContainer(msgspec.Struct, tag="watch"):
    """Hold the execs on the root filesystem that the host has mounted at `point`."""

    dev: int
    point: bytes
    lowers: list[bytes]
    upper: bytes
    container: Container
    kinds: int
    """What the kernel blocks there by itself: `plan.NEW` and so on."""


class ExpectContainer(msgspec.Struct, tag="expect"):
    """Keep the execs there for a moment: who it is, and with that a `Watch` or `Forget`, is on its way."""

    dev: int
    point: bytes


class ForgetContainer(msgspec.Struct, tag="forget"):
    """Hold nothing there any more."""

    dev: int
    point: bytes


HoldMessage = FollowPolicy | WatchContainer | ExpectContainer | ForgetContainer
decoder: Final = msgspec.json.Decoder(HoldMessage)


def encoded_line(message: HoldMessage) -> bytes:
    return msgspec.json.encode(message) + b"\n"
