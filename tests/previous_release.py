"""The sensor of the release before, unpacked (tests/golden/release-0.2)."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Final

RELEASE: Final = "0.2.0"
ARCHIVE: Final = Path(__file__).parent / "golden/release-0.2/sensor.tar.xz"


def unpack(directory: Path) -> dict[str, str]:
    """Unpack it, and return the environment in which `python -m sensor`, run in `directory`, is that sensor."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    # It is not run on a kernel here, but looks for its program to say what this one can.
    (directory / "sensor/capture/bpf/exec.bpf.o").write_bytes(b"")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONPATH": str(directory), "PYTHONSAFEPATH": "1"}
