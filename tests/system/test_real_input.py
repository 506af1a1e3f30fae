"""Real containers, the real sensor, the real portal: what the main job promises, end to end."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import needs
from tests.system.podman import BUSYBOX, Podman
from tests.system.stack import SensorProcess, Stack, eventually

pytestmark = [pytest.mark.services, pytest.mark.container]

ACCOUNT = "123456789012"
DROPPED = "/tmp/busybox-xmrig"


@pytest.fixture
def podman(directory: Path) -> Iterator[Podman]:
    with needs.podman_in(directory) as containers:
        yield containers


@pytest.fixture
def container(podman: Podman) -> tuple[str, str]:
    """(name, image) of a running container with one image binary of its own, /bin/busybox-tool."""
    image = podman.image("shop", {"/bin/busybox-tool": BUSYBOX})
    return podman.run(image), image


@pytest.fixture
def sensor(stack: Stack, directory: Path, container: tuple[str, str]) -> Iterator[SensorProcess]:
    """The real capture on this machine, summaries every second."""
    found = SensorProcess(stack, ACCOUNT, "real", "this-node", directory / "state")
    found.enrol()
    found.start("--capture", "ebpf", "--window-seconds", "1", "--heartbeat-seconds", "1")
    eventually(lambda: stack.rows("SELECT 1 FROM fleet_sensor WHERE applied_number = 1"), "version 1 applied")
    yield found
    if found.is_running:
        assert found.stop() == 0, found.log.read_text()


def _drop(podman: Podman, name: str, directory: Path) -> str:
    """Copy a binary into the container and run it; its sha256."""
    binary = directory / "busybox-xmrig"
    shutil.copy2(BUSYBOX, binary)
    # Bytes of its own, or it would be a copy of the image's busybox.
    binary.write_bytes(BUSYBOX.read_bytes() + b"drift")
    podman.cp(binary, name, DROPPED)
    return hashlib.sha256(binary.read_bytes()).hexdigest()


def _run_dropped(podman: Podman, name: str) -> None:
    podman.exec(name, "/bin/sh", "-c", f"{DROPPED} echo mined; true")


def _save(stack: Stack, image: str, action: str) -> int:
    """A version with one rule for the image; its number."""
    with stack.api() as api:
        latest = api.get("policy/versions/", params={"limit": 1}).json()["results"][0]["number"]
        document = api.get(f"policy/versions/{latest}/").json()["document"]
        rule: dict[str, Any] = {
            "id": f"00000000-0000-4000-8000-00000000000{latest}",
            "name": f"{action} the shop",
            "action": action,
            "scope_description": "Shop",
            "cloud_scope": [{"provider": "aws"}],
            "resource_scope": [{"property": "image_name", "any_of": [{"operator": "starts_with", "value": image}]}],
            "allow_list": [],
        }
        document["rules"].insert(0, rule)
        saved = api.post("policy/versions/", json={"document": document, "base": latest, "comment": ""})
        return int(saved.raise_for_status().json()["number"])


def _applied(stack: Stack, number: int) -> None:
    query = "SELECT 1 FROM fleet_sensor WHERE applied_number = %s"
    eventually(lambda: stack.rows(query, number), f"version {number} applied")


def _alerts(stack: Stack, container: str) -> list[dict[str, Any]]:
    """The open alerts of one container."""
    with stack.api() as api:
        found = api.get("alerts/").raise_for_status().json()["alerts"]
    return [alert for alert in found if alert["event"]["container"]["id"] == container]


def _events(stack: Stack, container: str) -> list[tuple[str, str, int]]:
    """(mode, action, count) of one container's events: other containers may run on this machine."""
    query = "SELECT mode, action, count FROM alerts_driftevent WHERE container_id = %s ORDER BY observed_at"
    return stack.rows(query, container)


def test_a_dropped_binary_alerts_until_a_rule_ignores_it_and_image_binaries_never_do(
    stack: Stack, podman: Podman, container: tuple[str, str], sensor: SensorProcess, directory: Path
) -> None:
    name, image = container
    number = _save(stack, image, "alert")
    _applied(stack, number)

    # (a) an image binary: nothing; (d) a touched one: nothing. The drop after them is seen, so they were too.
    podman.exec(name, "/bin/busybox-tool", "echo", "fine")
    podman.shell(name, "touch /bin/busybox-tool; chmod 755 /bin/busybox-tool")
    podman.exec(name, "/bin/busybox-tool", "echo", "fine")
    # (b) a binary copied in: one High alert that says all there is to say.
    sha256 = _drop(podman, name, directory)
    _run_dropped(podman, name)
    (listed,) = eventually(lambda: _alerts(stack, podman.id(name)), "an alert")
    with stack.api() as api:
        alert = api.get(f"alerts/{listed['id']}/").raise_for_status().json()
    evidence = alert["event"]
    assert (alert["severity"], alert["status"], alert["count"]) == ("high", "active", 1)
    assert evidence["container"]["id"] == podman.id(name)
    assert evidence["container"]["image_name"] == image
    assert evidence["process"]["path"] == DROPPED
    assert evidence["process"]["argv"] == [DROPPED, "echo", "mined"]
    assert evidence["process"]["sha256"] == sha256
    # The parent is named by its file: /bin/sh is a link to busybox.
    assert evidence["process"]["parent"]["path"] == "/bin/busybox"
    assert (alert["policy"]["rule"]["name"], alert["policy"]["number"]) == ("alert the shop", number)

    # (c) the same after a rule that ignores it was saved: no new alert, the old count unchanged, one summary.
    number = _save(stack, image, "ignore")
    _applied(stack, number)
    _run_dropped(podman, name)
    eventually(lambda: len(_events(stack, podman.id(name))) > 1, "the ignored run is counted")
    assert _events(stack, podman.id(name)) == [("exec", "alert", 1), ("summary", "ignore", 1)]
    assert [(found["id"], found["count"]) for found in _alerts(stack, podman.id(name))] == [(listed["id"], 1)]
