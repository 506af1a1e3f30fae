"""What the portal's wheel holds beside the packages: front-end assets and the commit that it was built from."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parents[1]


class WheelHook(BuildHookInterface[Any]):
    """Runs before `pip wheel .` packs; the image's build has no .git and writes `sensor/COMMIT` itself."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch the assets where they are missing, which needs npm. Raises SystemExit with one line if it fails."""
        assets = subprocess.run([sys.executable, str(ROOT / "scripts/assets.py")], check=False)
        if assets.returncode:
            raise SystemExit("static/vendor/ lacks the front-end assets, and they could not be fetched.")
        built = ROOT / "sensor/COMMIT"
        if built.exists():
            # git ignores it, and so does hatchling.
            build_data["force_include"][str(built)] = "sensor/COMMIT"
            return
        sys.path.insert(0, str(ROOT))
        from sensor.version import checked_out_commit

        commit = checked_out_commit(ROOT)
        if commit:
            file = Path(tempfile.mkdtemp()) / "COMMIT"
            file.write_text(f"{commit}\n")
            build_data["force_include"][str(file)] = "sensor/COMMIT"
