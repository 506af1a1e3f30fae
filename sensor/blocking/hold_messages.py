"""What the sensor sends to the process that holds execs: JSON lines on a socket, each complete in itself."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sensor.wire import Container, Session

HELD_MAPS: Final = ("marks", "guard", "state", "observed", "writers")
"""The maps whose descriptors it inherits, as options of its command line: of `BlockTableDescriptors`."""


class FollowPolicy(msgspec.Struct, tag="follow"):
    """Decide by this policy (a normalised document, at this location) from now on."""

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
    kinds: tuple[int, int, int]
    """By session the bits of `block_plan.NEW` and so on: what the kernel blocks there alone."""
    denies_new: bool = False
    """Whether a new file for which there is no time is denied: its workload is past the kill limit."""
    role: Session | None = None
    """The session of its own processes, where that is not the workload."""


class ExpectContainer(msgspec.Struct, tag="expect"):
    """Hold the execs there for a moment: the container is being identified, then watched or forgotten."""

    dev: int
    point: bytes


class ForgetContainer(msgspec.Struct, tag="forget"):
    """Stop holding execs there."""

    dev: int
    point: bytes


HoldMessage = FollowPolicy | WatchContainer | ExpectContainer | ForgetContainer
decoder: Final = msgspec.json.Decoder(HoldMessage)


def encoded_line(message: HoldMessage) -> bytes:
    """Return the message as one line."""
    return msgspec.json.encode(message) + b"\n"
