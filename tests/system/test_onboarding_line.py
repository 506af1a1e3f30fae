"""The onboarding page's line for podman, as a shell runs it: the node enrols, its sensor runs and reports drift."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drift.fleet.domain.onboarding_lines import STATE, Onboarding, onboarding_lines
from drift.fleet.domain.sensor_platforms import PLATFORMS
from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.pins import drop_pins
from sensor.policy import default_document
from tests.system import needs, python_image
from tests.system.stack import eventually
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = [pytest.mark.container, pytest.mark.serial]


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    try:
        open_ebpf(ring_bytes=64 * 1024).close()
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    (tmp_path / "podman").mkdir()
    with needs.podman_in(tmp_path / "podman") as bed:
        yield bed


def test_the_line_for_podman_enrols_a_node_whose_sensor_reports_drift(podman: Podman, tmp_path: Path) -> None:
    image = python_image.sensor(podman, tmp_path / "image")
    state, name = tmp_path / "state", f"{podman.prefix}-onboarded"
    with FakePortal().serving() as portal:
        portal.publish(1, {**default_document(), "rules": [], "default": {"action": "alert"}})
        line = _line(portal.url, image).replace(f"mkdir -p {STATE}", f"mkdir -p {state}")
        line = line.replace(f"--volume={STATE}:", f"--volume={state}:").replace("=driftwatch-sensor ", f"={name} ")
        try:
            done = subprocess.run(
                ["sh", "-c", line], env=podman.environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            (enrolment,) = portal.enrolments
            assert (enrolment.token, enrolment.cluster.name, enrolment.node) == (
                "dwe_x_it's",
                "hosts",
                os.uname().nodename,
            )
            eventually(lambda: bool(portal.statuses), "the policy is applied", 60)
            drifting = podman.run(podman.image("cart"))
            podman.shell(drifting, "cp /bin/busybox /tmp/busybox && /tmp/busybox true")
            eventually(
                lambda: any(each.process.path == "/tmp/busybox" for each in list(portal.events.values())),
                "the drift is reported",
                60,
            )
        finally:
            print(podman.command("logs", name, check=False).stderr.decode())
            podman.command("rm", "--force", "--time=5", name, check=False)
            identity = state / "identity.json"
            if identity.exists():
                pins = Path("/sys/fs/bpf") / f"driftwatch-{json.loads(identity.read_text())['sensor_id']}"
                drop_pins(pins)
                pins.rmdir()


def _line(url: str, image: str) -> str:
    place = Onboarding(
        portal=url,
        token="dwe_x_it's",
        cluster="prod",
        hosts="hosts",
        platform=PLATFORMS["other"],
        image=image,
        package="driftwatch-sensor",
        files=f"{url}/files",
        chart="driftwatch-sensor.tgz",
    )
    return next(line.command for line in onboarding_lines(place) if line.way == "podman")
