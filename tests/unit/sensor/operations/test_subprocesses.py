"""Parts of the sensor that run as processes of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sensor.operations import subprocesses


def test_a_part_of_this_program_is_found_and_nothing_in_the_working_directory_is(
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
