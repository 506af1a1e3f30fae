"""A real `python -m sensor run` that blocks in one podman image only, connected to a fake portal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sensor
from sensor.capture.ebpf import open_ebpf
from tests.system.podman import BUSYBOX, SLOWNESS, Podman
from tests.unit.sensor.fake_portal import FakePortal
from tests.unit.sensor.makers import enrolled

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.wire import Event

ROOT = Path(sensor.__file__).parents[1]
RAN = "RAN"
"""What a program of these tests prints, if it gets so far."""
PATIENCE = 30.0 * SLOWNESS
UNLIMITED = "1000000"


def block_rule(podman: Podman, **fields: Any) -> dict[str, Any]:
    """A rule that blocks drift in containers of this test bed's image `blocked`, and nowhere else on the machine."""
    image = {"operator": "starts_with", "value": f"localhost/{podman.prefix}/blocked"}
    return {
        "id": "11111111-1111-1111-1111-111111111111",
        "name": "Test bed",
        "action": "block",
        "scope_description": "the test bed",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [{"property": "image_name", "any_of": [image]}],
        "allow_list": [],
        **fields,
    }


def kinds(*values: str) -> list[dict[str, Any]]:
    """Return a process scope that names these kinds."""
    return [{"property": "drift_kind", "any_of": [{"operator": "equals", "value": value} for value in values]}]


class Bed:
    """One sensor with its own state directory; it is killed at the end, whatever the test's result."""

    program: tuple[str, ...] = (sys.executable, "-m", "sensor")

    def __init__(self, podman: Podman, portal: FakePortal, directory: Path) -> None:
        self.podman, self.portal = podman, portal
        self._directory = directory
        self._state = enrolled(directory / "state", portal)
        self._number = 0
        self._earlier = frozenset[str]()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        pins = self._directory / "pins"
        if pins.exists():
            # A killed sensor left them.
            open_ebpf(pin_dir=pins).close()

    def publish(self, *rules: dict[str, Any], stopped: bool = False, default: str = "alert") -> None:
        """Make these rules the policy, and wait until a running sensor has applied it."""
        self._number += 1
        document = {"schema": 1, "rules": list(rules), "default": {"action": default}}
        self.portal.publish(self._number, document, blocking_stopped=stopped)
        if self.process is not None:
            self.portal.push("policy", {"number": self._number, "etag": self.portal.etag})
            self._await(lambda: bool(self.portal.statuses) and self.portal.statuses[-1].number == self._number)

    def start(self, *more: str) -> None:
        """Run the sensor, and wait until it has the policy."""
        command = [*self.program, "run", "--state", str(self._state.path)]
        command += ["--pin-dir", str(self._directory / "pins")]
        command += ["--heartbeat-seconds", "1", "--window-seconds", "1", *more]
        before = len(self.portal.statuses)
        log = (self._directory / "sensor.log").open("ab")
        self.process = subprocess.Popen(command, stderr=log, cwd=ROOT)
        self._await(lambda: len(self.portal.statuses) > before)
        self._await(lambda: bool(self.portal.heartbeats) and "hold" in self.portal.heartbeats[-1].capabilities)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(PATIENCE)
            self.process = None

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def signal(self, number: int) -> None:
        """Send a signal to the sensor's own process."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def is_frozen(self) -> bool:
        """Return whether the sensor's own process is stopped by a signal."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def holder(self) -> int:
        """Return the pid of the hold server."""
        assert self.process is not None
        return _child(_child(self.process.pid))

    def warm(self, image: str, **options: Any) -> str:
        """Return a container in which the kernel already blocks."""
        name = self.podman.run(image, **options)
        self.podman.cp(altered_busybox(self.podman), name, "/tmp/busybox-probe")
        self.until(lambda: RAN not in self.run(name, f"/tmp/busybox-probe echo {RAN}"))
        return name

    def created(self, image: str, *command: str) -> str:
        """A container that was never started, with the altered busybox where its command is."""
        name = self.podman.create(image, *command)
        self.podman.cp(altered_busybox(self.podman), name, command[0])
        return name

    def started(self, name: str) -> str:
        """Start a container, wait for its end, and return its output."""
        return self.podman.command("start", "--attach", name, check=False).stdout.decode()

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the condition holds; fail the test if it does not in time."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, f"in vain: {(self._directory / 'sensor.log').read_text()}"
            time.sleep(0.1)

    def run(self, name: str, script: str) -> str:
        """Return the output of a shell script in a container."""
        return self.podman.shell(name, script, check=False).stdout.decode()

    def turn_to_new_containers(self) -> None:
        """Ignore events of existing containers from now on."""
        self._earlier = self.podman.containers

    def events(self, path: str) -> list[Event]:
        """Return the events of files whose path starts with `path`."""
        events = [event for event in list(self.portal.events.values()) if event.container.name not in self._earlier]
        return [event for event in events if event.process.path.startswith(path)]

    def count(self, path: str, outcome: str, reason: str = "") -> int:
        """Return the number of such execs with this outcome."""
        found = [event for event in self.events(path) if (event.outcome, event.outcome_reason) == (outcome, reason)]
        return sum(event.count for event in found)

    def await_events(self, path: str, number: int) -> list[Event]:
        """Return the events of so many execs, once they have arrived."""
        self._await(lambda: sum(event.count for event in self.events(path)) >= number)
        return self.events(path)

    def _await(self, until: Callable[[], bool]) -> None:
        try:
            self.portal.wait(until, PATIENCE)
        except AssertionError:
            raise AssertionError(f"in vain: {(self._directory / 'sensor.log').read_text()}") from None


def altered_busybox(podman: Podman) -> Path:
    """Return a busybox with different content: a program that is in no image."""
    path = podman.directory / "busybox-altered"
    if not path.exists():
        path.write_bytes(BUSYBOX.read_bytes() + b"\0")
        path.chmod(0o755)
    return path


def _child(pid: int) -> int:
    """Return the only child of a process."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return next(int(child) for thread in threads for child in (thread / "children").read_text().split())
