"""sensor.policy runs on a bare Python: decisions depend on no package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
PROGRAM = """
import sys
sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry and "dist-packages" not in entry]
sys.path.insert(0, {root!r})
import sensor.policy, sensor.policy.cli
foreign = sorted(
    name for name in sys.modules
    if name.partition(".")[0] not in sys.stdlib_module_names and name != "__main__"
    and name != "sensor" and not name.startswith(("sensor.policy", "sensor.names", "__"))
)
assert "ctypes" not in sys.modules
print(*foreign)
"""


def test_policy_package_imports_only_the_standard_library_and_sensor_names() -> None:
    # -I -S: neither site-packages nor the environment's paths.
    command = [sys.executable, "-I", "-S", "-c", PROGRAM.format(root=str(ROOT))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
