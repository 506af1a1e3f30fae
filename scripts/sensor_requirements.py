"""Makes deploy/sensor/requirements.txt, what the image of the sensor installs: uv.lock's versions, by their hashes.

`--check` only says whether it is up to date.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "deploy/sensor/requirements.txt"
HEAD = "# What the image installs, by hash. Made by scripts/sensor_requirements.py from uv.lock.\n"


def requirements() -> str:
    """The file's text: every package that the sensor needs, and those that these need."""
    packages = {each["name"]: each for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    sensor = tomllib.loads((ROOT / "deploy/sensor/pyproject.toml").read_text())
    waiting, markers = [_parsed(each) for each in sensor["project"]["dependencies"]], dict[str, str]()
    while waiting:
        wanted = waiting.pop()
        if wanted["name"] not in markers:
            markers[wanted["name"]] = wanted.get("marker", "")
            waiting += _dependencies(packages[wanted["name"]], wanted.get("extra", ()))
    return HEAD + "".join(_entry(packages[name], marker) for name, marker in sorted(markers.items()))


def _parsed(requirement: str) -> dict[str, Any]:
    name, _, extras = re.split(r"[><=]", requirement)[0].strip("]").partition("[")
    return {"name": name, "extra": extras.split(",")}


def _dependencies(package: dict[str, Any], extras: list[str]) -> list[dict[str, Any]]:
    optional = package.get("optional-dependencies", {})
    return [*package.get("dependencies", ()), *(each for extra in extras for each in optional.get(extra, ()))]


def _entry(package: dict[str, Any], marker: str) -> str:
    condition = f" ; {marker}" if marker else ""
    hashes = "".join(f" \\\n    --hash={wheel['hash']}" for wheel in package["wheels"])
    return f"{package['name']}=={package['version']}{condition}{hashes}\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if TARGET.read_text() == requirements() else f"{TARGET.name} is out of date: run {sys.argv[0]}")
    TARGET.write_text(requirements())
