"""The Helm charts, rendered by Helm itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHARTS: Final = ROOT / "deploy/charts"
OPAQUE: Final = {f"{part}resources" for part in ("", "web.", "gateway.", "worker.", "beat.", "migrate.")} | {
    "nodeSelector"
}
"""Values that Kubernetes reads as a whole."""


@cache
def helm() -> str:
    """Return the path of Helm; scripts/helm.sh brings it."""
    local = ROOT / ".tools/helm"
    found = shutil.which("helm") or (str(local) if local.exists() else None)
    if found is None:
        pytest.skip("needs helm (scripts/helm.sh)")
    return found


def run(*words: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run Helm; it reads `values` from standard input."""
    options = ["--values", "-"] if values is not None else []
    return subprocess.run(
        [helm(), *words, *options],
        input=json.dumps(values or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def rendered(chart: str, values: dict[str, Any], kubernetes: str = "1.34", release: str = "dw") -> list[dict[str, Any]]:
    """Return every manifest of a release, hooks included."""
    place = ["--namespace", "driftwatch", "--kube-version", f"v{kubernetes}.0"]
    done = run("template", release, str(CHARTS / chart), *place, values=values)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def named(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the one manifest of this kind and name."""
    (found,) = [each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def untried(chart: str, branches: Iterable[dict[str, Any]]) -> list[str]:
    """Return the values of a chart that have their default in every branch, as `image.tag`."""
    defaults = dict(_leaves(yaml.safe_load((CHARTS / chart / "values.yaml").read_text())))
    tried = {place for values in branches for place, value in _leaves(values) if defaults.get(place, object()) != value}
    return [place for place in defaults if not any(f"{each}.".startswith(f"{place}.") for each in tried)]


def _leaves(values: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value and f"{place}{name}" not in OPAQUE:
            yield from _leaves(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value


def pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pod's spec of every workload, by the workload's name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in manifests
        if "template" in each.get("spec", {})
    }
