"""Print a bill of materials: every component that the lock files name, as CycloneDX 1.5. Needs no network.

Python packages of all groups come from uv.lock with their digests, scripts of the pages from package-lock.json, and
base images from the Containerfiles.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BASE_IMAGE = re.compile(r"^ARG BASE=(?P<name>[^\s:@]+)(?::(?P<tag>[^\s@]+))?(?:@(?P<digest>\S+))?$", re.MULTILINE)


def bill_of_materials() -> dict[str, Any]:
    """Return the CycloneDX document; the same for the same lock files."""
    command = [str(ROOT / ".venv/bin/uv"), "export", "--quiet", "--frozen", "--all-groups", "--format", "cyclonedx1.5"]
    exported = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(exported)
    # They differ from run to run, and from one version of uv to the next.
    found.pop("serialNumber", None)
    found["metadata"] = {"component": {"type": "application", "name": "driftwatch", "bom-ref": "driftwatch-1"}}
    found["components"] += [*_page_scripts(), *_base_images()]
    return found


def _page_scripts() -> list[dict[str, Any]]:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    return [
        {
            "type": "library",
            "bom-ref": f"npm-{path}",
            "name": path.rpartition("node_modules/")[2],
            "version": package["version"],
            "purl": f"pkg:npm/{path.rpartition('node_modules/')[2].replace('@', '%40', 1)}@{package['version']}",
            "hashes": [_hash(package["integrity"])],
            "licenses": [{"license": {"id": package["license"]}}],
        }
        for path, package in packages.items()
        if path
    ]


def _hash(integrity: str) -> dict[str, str]:
    algorithm, _, content = integrity.partition("-")
    return {"alg": algorithm.upper().replace("SHA", "SHA-"), "content": base64.b64decode(content).hex()}


def _base_images() -> list[dict[str, Any]]:
    found = {
        match[0]: match
        for path in sorted(ROOT.glob("deploy/**/Containerfile"))
        for match in BASE_IMAGE.finditer(path.read_text())
    }
    return [
        {
            "type": "container",
            "bom-ref": f"image-{match['name']}:{match['tag']}",
            "name": match["name"],
            "version": match["digest"] or match["tag"] or "latest",
        }
        for match in found.values()
    ]


if __name__ == "__main__":
    json.dump(bill_of_materials(), sys.stdout, indent=1, sort_keys=True)
