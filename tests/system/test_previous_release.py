"""A sensor of the release before works with this portal: it enrols, applies policies, and its drift becomes alerts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import previous_release
from tests.system.parts import Parts
from tests.system.stack import eventually
from tests.system.test_portal_half_down import MAKE_ADMIN, save

pytestmark = pytest.mark.services


@pytest.fixture
def parts(directory: Path) -> Iterator[Parts]:
    made = Parts(directory)
    try:
        made.prepare()
        yield made
    finally:
        made.stop()


def test_a_sensor_of_the_release_before_enrols_applies_and_reports(parts: Parts, tmp_path: Path) -> None:
    package, state = tmp_path / "package", tmp_path / "state"
    package.mkdir()
    environment = previous_release.unpack(package)
    parts.manage("shell", "-c", MAKE_ADMIN)
    parts.start("web", "gateway", "worker", "beat")
    token = parts.manage("enrolment_token", "--environment", "azure:sub-1").splitlines()[-1]
    sensor = [sys.executable, "-m", "sensor"]
    enrol = ["enrol", "--portal", parts.url, "--cluster", "hosts", "--distribution", "other", "--node", "n1"]
    environment["DRIFTWATCH_ENROLMENT_TOKEN"] = token
    done = subprocess.run(
        [*sensor, *enrol, "--state", str(state)],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    sample = package / "sensor/samples/dev.jsonl"
    run = ["run", "--capture", "replay", "--replay", str(sample), "--heartbeat-seconds", "1", "--state", str(state)]
    with (tmp_path / "sensor.log").open("wb") as log:
        process = subprocess.Popen([*sensor, *run], cwd=package, env=environment, stdout=log, stderr=log)
    try:
        applied = "SELECT max(applied_number) FROM fleet_sensor"
        eventually(lambda: parts.rows(applied) == [(1,)], "version 1 is applied", 60)
        save(parts, 1, "alert")
        # By a push: it polls every five minutes only.
        eventually(lambda: parts.rows(applied) == [(2,)], "version 2 is applied", 60)
        eventually(lambda: parts.rows("SELECT count(*) FROM alerts_alert")[0][0] > 0, "drift is an alert", 60)
        reported = "SELECT sensor_version FROM fleet_sensorstatus"
        eventually(lambda: parts.rows(reported) == [(previous_release.RELEASE,)], "it says its version", 60)
    finally:
        process.terminate()
        process.wait()
    rejected = [json.loads(line) for file in state.rglob("*rejected*") if file.is_file() for line in file.open()]
    assert not rejected
