"""Faults that health shows after minutes: tasks that wait for a worker that hangs, and a sensor that hangs."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Final

import pytest

from tests.results import Figure
from tests.system.conftest import stack
from tests.system.stack import SensorProcess, Stack, eventually
from tests.system.test_health_faults import hanging, state
from tests.system.test_portal_half_down import SAMPLE

__all__ = ["stack"]
pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

SHOWN_WITHIN: Final = {"queue": 75.0, "tasks": 105.0, "dark": 205.0}
"""Seconds from the fault, by condition: those of its definition, and 15."""


def test_tasks_that_wait_and_a_sensor_that_hangs_are_shown_in_time(
    stack: Stack, tmp_path: Path, figure: Figure
) -> None:
    sensor = SensorProcess(stack, "123456789012", "hosts", "drill-1", tmp_path / "sensor")
    try:
        sensor.enrol()
        sensor.start("--capture", "replay", "--replay", str(SAMPLE))
        with stack.api() as api:
            for code in SHOWN_WITHIN:
                eventually(lambda code=code: state(api, code) == "ok", f"{code} is well", 120)  # type: ignore[misc]
            reported = "SELECT count(*) FROM fleet_sensorstatus"
            eventually(lambda: stack.rows(reported)[0][0] == 1, "the sensor reports", 90)
            shown: dict[str, float] = {}
            with hanging(stack, "worker"):
                sensor.signal(signal.SIGSTOP)
                began = time.monotonic()
                while len(shown) < len(SHOWN_WITHIN) and time.monotonic() - began < max(SHOWN_WITHIN.values()) + 30:
                    for code in SHOWN_WITHIN.keys() - shown.keys():
                        if state(api, code) == "failing":
                            shown[code] = round(time.monotonic() - began)
                    time.sleep(1)
            sensor.signal(signal.SIGCONT)
            for code, seconds in shown.items():
                most = SHOWN_WITHIN[code]
                figure(f"condition {code} shown", f"after {seconds:.0f} s", goal=f"{most:.0f} s", kept=seconds <= most)
            assert shown.keys() == SHOWN_WITHIN.keys()
            assert [code for code, seconds in shown.items() if seconds > SHOWN_WITHIN[code]] == []
            for code in SHOWN_WITHIN:
                eventually(lambda code=code: state(api, code) == "ok", f"{code} is well again", 200)  # type: ignore[misc]
    finally:
        if sensor.is_running:
            sensor.kill()
