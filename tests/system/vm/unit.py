"""The systemd unit as docs/sensor.md installs it, on a machine of its own: scripts/vm-check.sh runs this there.

Not a file that pytest finds by itself: it installs a service on the machine it runs on.
"""

from __future__ import annotations

import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.system.blocking_bed import RAN, altered_busybox, block_rule
from tests.system.podman import Podman
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.wire import Event

ROOT: Final = Path(__file__).parents[3]
UNIT: Final = "driftwatch-sensor"
INSTALLED: Final = Path("/opt/driftwatch-sensor")
WHEELS: Final = Path("/opt/wheels")
PATIENCE: Final = 600.0
"""Seconds: an emulated machine takes minutes to check the kernel program, on half a CPU too."""
CAPABILITIES: Final = {"bpf": 39, "perfmon": 38, "sys_ptrace": 19, "dac_read_search": 2, "sys_resource": 24}
CAPABILITIES_OF_UNIT: Final = {**CAPABILITIES, "net_admin": 12, "sys_admin": 21}


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def shown(name: str) -> str:
    """A property of the unit."""
    return run("systemctl", "show", "--value", f"--property={name}", UNIT).strip()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, run("journalctl", "--no-pager", "-u", UNIT)
        time.sleep(0.2)


class Installed:
    """The unit, started, and the portal that it reports to."""

    def __init__(self, portal: FakePortal, podman: Podman) -> None:
        self.portal, self._podman = portal, podman
        self.box = podman.run(podman.image("blocked"))
        self._numbers = 0

    @property
    def pid(self) -> int:
        return int(shown("MainPID"))

    def status(self, name: str) -> str:
        """A line of the sensor's /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))

    def drift(self) -> str:
        """Run a new file in the container; its path."""
        self._numbers += 1
        path = f"/tmp/busybox-{self._numbers}"
        self._podman.cp(altered_busybox(self._podman), self.box, path)
        self.out = self._podman.exec(self.box, path, "echo", RAN, check=False).stdout.decode()
        return path

    def reported(self, path: str) -> Event:
        """The event of a file, once the portal has it."""
        until(lambda: any(event.process.path == path for event in list(self.portal.events.values())))
        return next(event for event in self.portal.events.values() if event.process.path == path)

    def ready(self) -> None:
        """Until it is up, and the portal has heard of it."""
        before = len(self.portal.statuses)
        until(lambda: shown("ActiveState") == "active" and len(self.portal.statuses) > before)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    with Podman(tmp_path_factory.mktemp("podman")) as bed:
        yield bed


@pytest.fixture(scope="module")
def sensor(podman: Podman) -> Iterator[Installed]:
    """Installed, enrolled and started by the steps of docs/sensor.md."""
    (wheel,) = (ROOT / "dist").glob("driftwatch_sensor-*.whl")
    run("python3", "-m", "venv", INSTALLED)
    run(INSTALLED / "bin/pip", "install", "--no-index", "--find-links", WHEELS, wheel)
    with FakePortal().serving() as portal:
        portal.publish(1)
        enrol = ["enrol", "--portal", portal.url, "--token", "t", "--cluster", "plain", "--distribution", "other"]
        run(INSTALLED / "bin/driftwatch-sensor", *enrol)
        run("cp", ROOT / f"deploy/sensor/{UNIT}.service", "/etc/systemd/system/")
        run("systemctl", "daemon-reload")
        installed = Installed(portal, podman)
        run("systemctl", "enable", "--now", UNIT)
        installed.ready()
        yield installed
        run("systemctl", "disable", "--now", UNIT)


def test_drift_is_reported_by_ebpf_and_health_is_served(sensor: Installed) -> None:
    event = sensor.reported(sensor.drift())
    assert (event.kind, event.identity, event.container.name) == ("new_file", "complete", sensor.box)
    assert event.process.hash_status == "ok"
    assert sensor.portal.heartbeats[-1].backend == "ebpf"
    assert urllib.request.urlopen("http://127.0.0.1:9467/healthz").status == 200


def test_it_has_the_capabilities_that_the_unit_lists_and_can_gain_none(sensor: Installed) -> None:
    expected = sum(1 << number for number in CAPABILITIES_OF_UNIT.values())
    assert {int(sensor.status(name), 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {expected}
    assert (sensor.status("NoNewPrivs"), sensor.status("Seccomp")) == ("1", "2")


def test_it_can_write_to_its_state_folder_and_nowhere_else(sensor: Installed) -> None:
    inside = ["nsenter", f"--target={sensor.pid}", "--mount", "touch"]
    run(*inside, "/var/lib/driftwatch-sensor/probe")
    for folder in ("/etc", "/usr", "/var/lib/containers", "/root"):
        done = subprocess.run([*inside, f"{folder}/probe"], capture_output=True, text=True, check=False)
        assert "Read-only file system" in done.stderr


def test_its_ceilings_are_those_of_the_unit(sensor: Installed) -> None:
    folder = Path("/sys/fs/cgroup") / shown("ControlGroup").lstrip("/")
    ceilings = [(folder / name).read_text().strip() for name in ("memory.max", "cpu.max", "pids.max")]
    assert ceilings == [str(256 * 1024 * 1024), "50000 100000", "64"]
    assert Path(f"/proc/{sensor.pid}/oom_score_adj").read_text().strip() == "-500"


def test_what_runs_while_it_is_restarted_is_reported(sensor: Installed) -> None:
    run("systemctl", "stop", UNIT)
    missed = sensor.drift()
    run("systemctl", "start", UNIT)
    sensor.ready()
    assert sensor.reported(missed).kind == "new_file"
    run("systemctl", "restart", UNIT)
    sensor.ready()
    assert sensor.reported(sensor.drift()).kind == "new_file"


def test_killed_it_is_started_again(sensor: Installed) -> None:
    before = sensor.pid
    run("systemctl", "kill", "--signal=KILL", UNIT)
    missed = sensor.drift()
    sensor.ready()
    assert sensor.pid != before
    assert sensor.reported(missed).kind == "new_file"


def test_it_blocks_and_holds(sensor: Installed, podman: Podman) -> None:
    document = {"schema": 1, "rules": [block_rule(podman)], "default": {"action": "alert"}}
    sensor.portal.publish(2, document)
    sensor.portal.push("policy", {"number": 2, "etag": sensor.portal.etag})
    until(lambda: sensor.drift() != "" and RAN not in sensor.out)
    until(lambda: any(event.outcome == "blocked" for event in list(sensor.portal.events.values())))
    run("systemctl", "restart", UNIT)
    sensor.ready()
    until(lambda: "hold" in sensor.portal.heartbeats[-1].capabilities)


def test_stopped_it_ends_by_itself_and_without_a_fault(sensor: Installed) -> None:
    run("systemctl", "stop", UNIT)
    assert (shown("Result"), shown("ExecMainStatus")) == ("success", "0")
    run("systemctl", "start", UNIT)
    sensor.ready()


def test_revoked_it_ends_and_is_not_started_again(sensor: Installed) -> None:
    sensor.portal.always["sensors/me/heartbeat"] = (403, {"code": "sensor_revoked", "message": "revoked"}, {})
    run("systemctl", "restart", UNIT)
    until(lambda: shown("ActiveState") == "failed")
    assert (shown("ExecMainStatus"), shown("SubState")) == ("7", "failed")
