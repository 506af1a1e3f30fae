"""The kernel's maps of containers' last execs, and the kernel program that writes them, in memory."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

from sensor.capture.exec_tracks import EARLY_EXECS, KEPT_ANCESTOR, KEPT_EXEC, TRACK, TRACK_EXECS, ExecTracks

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.exec_tracks import Track

TRACKS_FD: Final = 10
EXECS_FD: Final = 11


class FakeTrackMaps:
    """Elements that were never set are zeros, as in the kernel. `on_lookup` is called before each look."""

    def __init__(self) -> None:
        self.values: dict[tuple[int, bytes], bytes] = collections.defaultdict(bytes)
        self.on_lookup: Callable[[int], None] = lambda fd: None

    def tracks(self) -> ExecTracks:
        return ExecTracks(self, TRACKS_FD, EXECS_FD)

    def update(self, fd: int, key: bytes, value: bytes) -> None:
        assert len(value) == (TRACK if fd == TRACKS_FD else KEPT_EXEC).size
        self.values[fd, key] = value

    def lookup(self, fd: int, key: bytes, size: int) -> bytes:
        self.on_lookup(fd)
        return self.values[fd, key] or bytes(size)

    def head(self, track: Track) -> dict[str, Any]:
        found: dict[str, Any] = TRACK.read(self.values[TRACKS_FD, _key(track.number)])._asdict()
        return found

    def begin(self, track: Track, **fields: Any) -> tuple[int, int] | None:
        """Do as the kernel program does up to the last word of an exec; None where the track is another's."""
        if not track.owner or self.head(track)["owner"] != track.owner:
            return None
        head = self.head(track)
        head["count"] += 1
        head["last_ns"] = fields.get("time_ns", head["count"])
        self.update(TRACKS_FD, _key(track.number), TRACK.packed(**head))
        count = head["count"]
        slot = track.number * (TRACK_EXECS + EARLY_EXECS) + (count - 1) % TRACK_EXECS
        named = {
            "time_ns": count * 1_000,
            "start_ns": count * 1_000 - 500,
            "pid": 100 + count,
            "path": b"/bin/tool-%d" % count,
            "argv": b"tool\0-v\0",
            "parent_comm": b"sh",
            "ancestors": KEPT_ANCESTOR.packed(pid=7, start_ns=70),
        }
        named |= fields
        named.setdefault("argv_bytes", len(named["argv"]))
        self.update(EXECS_FD, _key(slot), KEPT_EXEC.packed(begun=count, **named))
        return slot, count

    def execute(self, track: Track, times: int = 1, **fields: Any) -> None:
        """Do as the kernel program does at so many execs in a container."""
        for _ in range(times):
            begun = self.begin(track, **fields)
            if begun is not None:
                self.end(*begun)

    def end(self, slot: int, count: int) -> None:
        """Write the last word of an exec."""
        values = KEPT_EXEC.read(self.values[EXECS_FD, _key(slot)])._asdict()
        self.update(EXECS_FD, _key(slot), KEPT_EXEC.packed(**(values | {"ended": count})))


def _key(number: int) -> bytes:
    return number.to_bytes(4, "little")
