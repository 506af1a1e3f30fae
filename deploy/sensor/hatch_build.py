"""Puts the commit into the wheel, as the file `sensor/COMMIT`: `--version` and every heartbeat report it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parents[2]


class CommitHook(BuildHookInterface[Any]):
    """Runs where the wheel is built from a checkout; the image's build has no .git and writes the file itself."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file; without a known commit the wheel reports its release alone."""
        if (ROOT / "sensor/COMMIT").exists():
            return  # part of sensor/, which is included as a whole
        sys.path.insert(0, str(ROOT))
        from sensor.version import checked_out_commit

        commit = checked_out_commit(ROOT)
        if commit:
            file = Path(tempfile.mkdtemp()) / "COMMIT"
            file.write_text(f"{commit}\n")
            build_data["force_include"][str(file)] = "sensor/COMMIT"
