"""From a saved rule to an alert about stopped drift; and the switch that stops all blocking."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from tests.system import needs
from tests.system.blocking_bed import RAN, altered_busybox, block_rule
from tests.system.podman import Podman
from tests.system.stack import SensorProcess, Stack, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

ACCOUNT = "123456789012"
TITLE = "Blocked binary drift executing in the container"


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    try:
        open_ebpf(ring_bytes=64 * 1024).close()
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    with needs.podman_in(tmp_path) as bed:
        yield bed


@pytest.fixture
def sensor(stack: Stack, directory: Path) -> Iterator[SensorProcess]:
    made = SensorProcess(stack, ACCOUNT, "blocking", "node-1", directory / "state")
    made.enrol()
    made.start("--pin-dir", str(directory / "pins"), "--heartbeat-seconds", "2")
    yield made
    made.stop()


def save(stack: Stack, rule: dict[str, Any]) -> None:
    """A version with this rule above all others."""
    with stack.api() as api:
        latest = api.get("policy/versions/", params={"limit": 1}).raise_for_status().json()["results"][0]["number"]
        document = api.get(f"policy/versions/{latest}/").raise_for_status().json()["document"]
        document["rules"].insert(0, rule)
        body = {"document": document, "base": latest, "comment": "block the test bed"}
        api.post("policy/versions/", json=body).raise_for_status()


def titles(stack: Stack, path: str) -> list[str]:
    """Of the alerts on a file."""
    with stack.api() as api:
        alerts = api.get("alerts/").raise_for_status().json()["alerts"]
    return [alert["name"] for alert in alerts if path in json.dumps(alert)]


def test_a_saved_rule_stops_drift_with_an_alert_until_the_switch_stops_all_blocking(
    stack: Stack, sensor: SensorProcess, podman: Podman
) -> None:
    save(stack, block_rule(podman, cloud_scope=[{"provider": "aws", "accounts": [ACCOUNT]}]))
    name = podman.run(podman.image("blocked"))
    podman.cp(altered_busybox(podman), name, "/tmp/busybox-probe")

    def runs() -> bool:
        return RAN in podman.shell(name, f"/tmp/busybox-probe echo {RAN}", check=False).stdout.decode()

    eventually(lambda: not runs(), "drift is stopped", 60, pause=2)
    podman.shell(name, f"cp /tmp/busybox-probe /tmp/busybox-new; /tmp/busybox-new echo {RAN}", check=False)
    eventually(lambda: TITLE in titles(stack, "/tmp/busybox-new"), "its alert")
    with stack.api() as api:
        api.put("blocking/", json={"blocking_stopped": True}).raise_for_status()
    eventually(runs, "drift runs again", 15, pause=0.5)
