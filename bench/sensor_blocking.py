"""A container in which drift is blocked, or not, by turns; for bench/sensor.py."""

from __future__ import annotations

import contextlib
import functools
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.system.blocking_bed import RAN, UNLIMITED, Bed, block_rule
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.system.podman import Podman

FILES = 200
TOUCHED = "/opt/touched"
NEW = "/tmp/new-small"
PROBE = "/tmp/busybox-probe"


class Blocked:
    """One container under a sensor of its own; a container of another image keeps execs held all the time."""

    def __init__(self, podman: Podman, programs: Mapping[str, Path]) -> None:
        """`programs` are /storm and /small, by their path in the image."""
        self._podman = podman
        tools = {f"/opt/tool{number}": programs["/small"] for number in range(FILES)}
        self._image = podman.image("blocked", {**programs, **tools, TOUCHED: programs["/small"]})
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        directory = Path(self._held.enter_context(tempfile.TemporaryDirectory()))
        portal = self._held.enter_context(FakePortal().serving())
        self._bed = self._held.enter_context(Bed(self._podman, portal, directory))
        nowhere = [{"property": "image_name", "any_of": [{"operator": "equals", "value": "nowhere"}]}]
        self._elsewhere = block_rule(
            self._podman, id="22222222-2222-2222-2222-222222222222", name="Elsewhere", resource_scope=nowhere
        )
        self._here = block_rule(self._podman)
        self._bed.publish(self._here, self._elsewhere)
        self._bed.start("--kills-per-minute", UNLIMITED)
        self._name = self._bed.warm(self._image)
        self._is_on = True
        self._bed.run(self._name, f"touch {TOUCHED}; cp /small {NEW}")
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def switch(self, *, on: bool) -> None:
        """Block in the container, or nothing there; returns once that is so."""
        if on != self._is_on:
            self._bed.publish(*([self._here] if on else []), self._elsewhere)
            self._bed.until(lambda: (RAN in self._bed.run(self._name, f"{PROBE} echo {RAN}")) != on)
            self._is_on = on

    def storms(self, count: int) -> dict[str, Callable[[], float]]:
        """By what they run: each gives nanoseconds an exec."""
        files = {"an image's file": "/small", "a touched one": TOUCHED, "a new one, killed where on": NEW}
        return {what: functools.partial(self._storm, count, file) for what, file in files.items()}

    def _storm(self, count: int, file: str) -> float:
        return self._run("killed", count, file)[0]

    def turn(self, storm: Callable[[], float]) -> tuple[float, float]:
        """Off, on, on, off: the means of both."""
        times: dict[bool, list[float]] = {True: [], False: []}
        for is_on in (False, True, True, False):
            self.switch(on=is_on)
            times[is_on].append(storm())
        return statistics.mean(times[False]), statistics.mean(times[True])

    def each(self, *, on: bool) -> tuple[float, float]:
        """Nanoseconds of the first exec of a file of the image, and of the one after that, in a new container."""
        self.switch(on=on)
        before, self._name = self._name, self._bed.podman.run(self._image)
        try:
            if on:
                self._name = self._bed.warm(self._image)
            return self._run("each", FILES, "/opt/tool")[0], self._run("each", FILES, "/opt/tool")[0]
        finally:
            self._name = before

    def hit(self, count: int) -> int:
        """How many of so many execs of an image's file are killed."""
        self.switch(on=True)
        return self._run("killed", count, "/small")[1]

    def _run(self, what: str, count: int, file: str) -> tuple[float, int]:
        spent, killed = self._podman.exec(self._name, "/storm", what, str(count), file).stdout.split()
        return int(spent) / count, int(killed)
