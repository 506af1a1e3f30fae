"""What is installed on a node: the sensor's wheel, and the manifests that `kubectl apply -k` would send."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import sensor

ROOT: Final = Path(sensor.__file__).parents[1]
DEPLOY: Final = ROOT / "deploy/sensor"


def built_wheel(directory: Path, commit: str = "") -> Path:
    """Build the sensor's wheel from what the Containerfile copies, optionally in a checkout of that commit."""
    for source in re.findall(r"^COPY (\S+) ", (DEPLOY / "Containerfile").read_text(), re.MULTILINE):
        target = directory / "source" / source
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy2
        copy(ROOT / source, target)
    if commit:
        (directory / "source/.git").mkdir()
        (directory / "source/.git/HEAD").write_text(f"{commit}\n")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    where = directory / "source/deploy/sensor"
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = directory.glob("*.whl")
    return built


def rendered(directory: Path) -> list[dict[str, Any]]:
    """Return every manifest of a kustomization."""
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")
    command = ["kubectl", "kustomize", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def pod(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the pod that the DaemonSet runs on each node."""
    (found,) = [each for each in manifests if each["kind"] == "DaemonSet"]
    return dict(found["spec"]["template"]["spec"])
