"""Patterns: what they cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

TIRING = {
    "many stars": ("*a" * 200 + "*b", "a" * 20_000),
    "a part that nearly fits": ("*" + "a" * 400 + "b*c", "a" * 20_000),
    "single characters": ("*?a" * 200 + "*b", "a" * 20_000),
}


@pytest.mark.parametrize("case", TIRING)
def test_a_pattern_takes_time_linear_in_the_string(case: str) -> None:
    """A search that goes back behind a `*` would take longer than anybody waits, and the test would time out."""
    script = "import sys; from sensor.policy.globs import Glob; sys.exit(Glob(sys.argv[1]).holds(sys.argv[2]))"
    assert subprocess.run([sys.executable, "-c", script, *TIRING[case]], timeout=120, check=False).returncode == 0
