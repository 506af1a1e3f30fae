"""The ways in which `tools/patch.c` patches a program of the image, runs it, and covers that up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MAPPED: Final = ("held", "shared", "protected")
"""Through one mapping that stays: the program runs once unpatched as well."""
WAYS: Final = (
    *MAPPED,
    *("mapped", "linked", "stamped", "poked", "remembered"),
    *("written", "sent", "spliced", "ranged", "direct", "cut", "renamed", "unnamed"),
    *("submitted", "swapped"),
)
OF_PRIVILEGED: Final = ("looped", "ring")
"""Those that a container needs rights for."""
BOUND: Final = "bound"
"""By a mount: a container needs rights for it too, and the patched file is on a mount of its own."""
UNCHANGED: Final = {"clean": 3, "moved": 3, "same": 1}
"""Ways that change nothing, with how often in a row: a run just before a write may be reported, without a hash."""
_AT: Final = 12


def runs(way: str, turns: int) -> set[str]:
    """Return the arguments of each run, of which none is the image's program."""
    return {f"patched {turn}" for turn in range(1, turns + 1)} | ({"clean 0"} if way in MAPPED else set())


def patched(program: Path, turn: int) -> str:
    """Return the hash of a program as it is in a turn."""
    content = bytearray(program.read_bytes())
    content[_AT] = turn
    return hashlib.sha256(content).hexdigest()
