"""The systemd unit as docs/sensor.md installs it, on a machine of its own: scripts/vm-check.sh runs this there.

Not a file that pytest finds by itself: it installs a service on the machine it runs on. One sensor is led through
its life, from test to test in the order of the file.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.system.blocking_bed import RAN, altered_busybox, block_rule
from tests.system.podman import SLOWNESS, Podman
from tests.unit.sensor.fake_portal import FakePortal, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.wire import Event

ROOT: Final = Path(__file__).parents[3]
UNIT: Final = "driftwatch-sensor"
INSTALLED: Final = Path("/opt/driftwatch-sensor")
STATE: Final = Path("/var/lib/driftwatch-sensor")
BPFFS: Final = Path("/sys/fs/bpf")
DROP_INS: Final = Path(f"/etc/systemd/system/{UNIT}.service.d")
PATIENT: Final = f"[Service]\nTimeoutStopSec={20 * SLOWNESS}\n"
"""All that is changed in the unit: how long systemd waits for its end, where the machine is slow."""
WITHOUT_PINS: Final = f"[Service]\nExecStart=\nExecStart={INSTALLED}/bin/driftwatch-sensor run\n"
PATIENCE: Final = 60.0 * SLOWNESS
ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
"""Without the libraries of these tests: the sensor has its own."""
CAPABILITIES: Final = {
    "dac_read_search": 2,
    "net_admin": 12,
    "sys_ptrace": 19,
    "sys_admin": 21,
    "sys_resource": 24,
    "perfmon": 38,
    "bpf": 39,
}
"""Of the unit, with their numbers in the kernel."""


def run(*command: str | Path) -> str:
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def shown(name: str) -> str:
    """A property of the unit."""
    return run("systemctl", "show", "--value", f"--property={name}", UNIT).strip()


def is_healthy() -> bool:
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen("http://127.0.0.1:9467/healthz").status == 200)
    return False


def pins() -> list[Path]:
    return sorted(BPFFS.glob("driftwatch-*/*/*"))


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

    @property
    def acknowledged(self) -> int:
        """Return how often a started sensor has acknowledged its policy."""
        return len(self.portal.statuses)

    def up(self, acknowledged: int) -> None:
        """Wait until it runs and has contacted the portal once more."""
        until(lambda: shown("ActiveState") == "active" and self.acknowledged > acknowledged)

    def systemctl(self, verb: str) -> None:
        """Start or restart it, and wait until it is up."""
        acknowledged = self.acknowledged
        run("systemctl", verb, UNIT)
        self.up(acknowledged)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    with Podman(tmp_path_factory.mktemp("podman")) as bed:
        yield bed


@pytest.fixture(scope="module")
def sensor(podman: Podman) -> Iterator[Installed]:
    """Installed (scripts/vm-check.sh did that), enrolled and started by the steps of docs/sensor.md."""
    run("mv", ROOT / "installed", INSTALLED)
    with FakePortal().serving() as portal:
        portal.publish(1)
        enrol = ["enrol", "--portal", portal.url, "--token", "t", "--cluster", "plain", "--distribution", "other"]
        run(INSTALLED / "bin/driftwatch-sensor", *enrol)
        run("cp", ROOT / f"deploy/sensor/{UNIT}.service", "/etc/systemd/system/")
        DROP_INS.mkdir()
        (DROP_INS / "patient.conf").write_text(PATIENT)
        run("systemctl", "daemon-reload")
        installed = Installed(portal, podman)
        run("systemctl", "enable", UNIT)
        installed.systemctl("start")
        yield installed
        run("systemctl", "disable", "--now", UNIT)


def test_drift_is_reported_by_ebpf_and_health_is_served(sensor: Installed) -> None:
    event = sensor.reported(sensor.drift())
    assert (event.kind, event.identity, event.container.name) == ("new_file", "complete", sensor.box)
    assert event.process.hash_status == "ok"
    assert sensor.portal.heartbeats[-1].backend == "ebpf"
    until(is_healthy)


def test_it_has_the_capabilities_that_the_unit_lists_and_can_gain_none(sensor: Installed) -> None:
    expected = sum(1 << number for number in CAPABILITIES.values())
    assert {int(sensor.status(name), 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {expected}
    assert (sensor.status("NoNewPrivs"), sensor.status("Seccomp")) == ("1", "2")


def test_it_can_write_to_its_state_directory_and_nowhere_else(sensor: Installed) -> None:
    inside = ["nsenter", f"--target={sensor.pid}", "--mount", "touch"]
    run(*inside, STATE / "probe")
    for directory in ("/etc", "/usr", "/var/lib", "/root"):
        done = subprocess.run([*inside, f"{directory}/probe"], capture_output=True, text=True, check=False)
        assert "Read-only file system" in done.stderr, (directory, done)


def test_its_state_directory_is_its_own(sensor: Installed) -> None:
    assert (STATE.stat().st_uid, STATE.stat().st_mode & 0o777) == (0, 0o700)
    assert shown("StateDirectory") == STATE.name
    assert {"identity.json", "policy.json", "spool", "folds", "lock"} <= {entry.name for entry in STATE.iterdir()}


def test_its_ceilings_are_those_of_the_unit(sensor: Installed) -> None:
    directory = Path("/sys/fs/cgroup") / shown("ControlGroup").lstrip("/")
    ceilings = [(directory / name).read_text().strip() for name in ("memory.max", "cpu.max", "pids.max")]
    assert ceilings == [str(256 * 1024 * 1024), "50000 100000", "64"]
    assert Path(f"/proc/{sensor.pid}/oom_score_adj").read_text().strip() == "-500"


def test_execs_while_it_is_stopped_are_reported(sensor: Installed) -> None:
    run("systemctl", "stop", UNIT)
    assert (shown("Result"), shown("ExecMainStatus")) == ("success", "0")
    assert pins()
    missed = sensor.drift()
    sensor.systemctl("start")
    assert sensor.reported(missed).kind == "new_file"


def test_spooled_events_survive_a_restart(sensor: Installed) -> None:
    sensor.portal.always["sensors/me/events"] = refused(503, "unavailable")
    path = sensor.drift()
    until(lambda: any(path.encode() in segment.read_bytes() for segment in (STATE / "spool").iterdir()))
    sensor.systemctl("restart")
    del sensor.portal.always["sensors/me/events"]
    assert sensor.reported(path).kind == "new_file"


def test_it_is_restarted_after_a_kill(sensor: Installed) -> None:
    before, acknowledged = sensor.pid, sensor.acknowledged
    run("systemctl", "kill", "--signal=KILL", UNIT)
    missed = sensor.drift()
    sensor.up(acknowledged)
    assert sensor.pid not in {0, before}
    assert sensor.reported(missed).kind == "new_file"


def test_it_blocks_and_holds(sensor: Installed, podman: Podman) -> None:
    document = {"schema": 1, "rules": [block_rule(podman)], "default": {"action": "alert"}}
    sensor.portal.publish(2, document)
    sensor.portal.push("policy", {"number": 2, "etag": sensor.portal.etag})
    until(lambda: sensor.drift() != "" and RAN not in sensor.out)
    until(lambda: any(event.outcome == "blocked" for event in list(sensor.portal.events.values())))
    until(lambda: "hold" in sensor.portal.heartbeats[-1].capabilities)


def test_without_keep_pins_a_stop_leaves_nothing_in_the_kernel(sensor: Installed) -> None:
    drop_in = DROP_INS / "pins.conf"
    drop_in.write_text(WITHOUT_PINS)
    run("systemctl", "daemon-reload")
    sensor.systemctl("restart")
    assert pins()
    run("systemctl", "stop", UNIT)
    assert (shown("Result"), pins()) == ("success", [])
    drop_in.unlink()
    run("systemctl", "daemon-reload")
    sensor.systemctl("start")


def test_after_revocation_it_exits_and_is_not_restarted(sensor: Installed) -> None:
    sensor.portal.always["sensors/me/heartbeat"] = refused(403, "sensor_revoked")
    run("systemctl", "restart", UNIT)
    until(lambda: shown("ActiveState") == "failed")
    assert (shown("ExecMainStatus"), shown("SubState")) == ("7", "failed")
