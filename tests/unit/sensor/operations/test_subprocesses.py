"""Parts of the sensor that run as separate processes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sensor.operations import subprocesses


def test_the_sensor_s_modules_are_found_and_those_of_the_working_directory_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for name in ("sensor.py", "msgspec.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('planted')")
    done = subprocess.run(
        subprocesses.command("sensor", "--help"),
        cwd=tmp_path,
        env=subprocesses.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
