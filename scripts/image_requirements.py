"""Makes deploy/*/requirements.txt, what the images of sensor and portal install: uv.lock's versions, by their hashes.

`--check` only says whether they are up to date.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROJECTS = {"sensor": ROOT / "deploy/sensor/pyproject.toml", "portal": ROOT / "pyproject.toml"}
HEAD = "# What the image installs, by hash. Made by scripts/image_requirements.py from uv.lock.\n"


def main() -> int:
    """Write both files, or compare them; 1 where one is out of date."""
    packages = {each["name"]: each for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    status = 0
    for name, project in PROJECTS.items():
        target, text = ROOT / "deploy" / name / "requirements.txt", _requirements(project, packages)
        if sys.argv[1:] != ["--check"]:
            target.write_text(text)
        elif not target.exists() or target.read_text() != text:
            print(f"{target.relative_to(ROOT)} is out of date: run {sys.argv[0]}", file=sys.stderr)
            status = 1
    return status


def _requirements(project: Path, packages: Mapping[str, dict[str, Any]]) -> str:
    """The file's text: every package that the project needs, and those that these need."""
    waiting = [_parsed(each) for each in tomllib.loads(project.read_text())["project"]["dependencies"]]
    markers, done = dict[str, str](), set[tuple[str, str]]()
    while waiting:
        wanted = waiting.pop()
        extras = [each for each in wanted.get("extra", ()) if each]
        # A package can be wanted first without, then with an extra.
        for extra in ("", *extras):
            if (wanted["name"], extra) not in done:
                done.add((wanted["name"], extra))
                waiting += _dependencies(packages[wanted["name"]], extra)
        marker = wanted.get("marker", "")
        known = markers.get(wanted["name"], marker)
        # Wanted by two packages: under either's condition, or always.
        markers[wanted["name"]] = known if known == marker else f"({known}) or ({marker})" if known and marker else ""
    return HEAD + "".join(_entry(packages[name], marker) for name, marker in sorted(markers.items()))


def _parsed(requirement: str) -> dict[str, Any]:
    name, _, extras = re.split(r"[><=]", requirement)[0].strip("]").partition("[")
    return {"name": name, "extra": extras.split(",")}


def _dependencies(package: dict[str, Any], extra: str) -> list[dict[str, Any]]:
    if extra:
        return list(package.get("optional-dependencies", {}).get(extra, ()))
    return list(package.get("dependencies", ()))


def _entry(package: dict[str, Any], marker: str) -> str:
    condition = f" ; {marker}" if marker else ""
    hashes = "".join(f" \\\n    --hash={wheel['hash']}" for wheel in package["wheels"])
    return f"{package['name']}=={package['version']}{condition}{hashes}\n"


if __name__ == "__main__":
    sys.exit(main())
