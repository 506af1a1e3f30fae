"""What the onboarding lines fetch from the portal: the chart, the manifests and the unit of the sensor.

They come with the portal (deploy/), so that no node needs a checkout, and hold nothing secret. Whoever has a line may
fetch them: their address carries a signature with the platform and the image, and expires.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from django.conf import settings
from django.core import signing

from drift.fleet.domain.sensor_platforms import RUNTIME_DIRECTORIES

SALT: Final = "fleet.sensor-files"
MAX_AGE: Final = 30 * 24 * 3600
NAMESPACE: Final = "driftwatch"
YAML, UNIT = "driftwatch-sensor.yaml", "driftwatch-sensor.service"


def signed_place(runtime: str, image: str) -> str:
    """Return the part of an address that names what a line needs; it holds for 30 days."""
    return signing.dumps([runtime, image], salt=SALT, compress=False)


def chart_name() -> str:
    """Return the file name of the chart, with its version, as `helm package` makes it."""
    return f"driftwatch-sensor-{_chart_version()}.tgz"


def sensor_file(signed: str, name: str) -> bytes | None:
    """Return the content of a file; None where the signature does not hold any more, or there is no such file."""
    try:
        runtime, image = signing.loads(signed, salt=SALT, max_age=MAX_AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if name == YAML:
        return _manifests(runtime, image)
    if name == UNIT:
        return (_deploy() / "sensor" / UNIT).read_bytes()
    return _chart() if name == chart_name() else None


def _deploy() -> Path:
    return Path(settings.SENSOR_FILES)


@lru_cache(maxsize=1)
def _chart_version() -> str:
    chart = yaml.safe_load((_deploy() / "charts/driftwatch-sensor/Chart.yaml").read_text())
    return str(chart["version"])


@lru_cache(maxsize=1)
def _chart() -> bytes:
    """Return the chart as an archive: the same bytes each time, whoever makes it."""
    root, packed = _deploy() / "charts/driftwatch-sensor", io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for path in sorted(each for each in root.rglob("*") if each.is_file()):
            entry = tarfile.TarInfo(f"driftwatch-sensor/{path.relative_to(root)}")
            entry.size, entry.mode = path.stat().st_size, 0o644
            tar.addfile(entry, io.BytesIO(path.read_bytes()))
    return packed.getvalue()


@lru_cache(maxsize=64)
def _manifests(runtime: str, image: str) -> bytes:
    """Return service account and DaemonSet; namespace, Secret and ConfigMap are the line's own."""
    documents = [yaml.safe_load((_deploy() / "sensor" / f"{name}.yaml").read_text()) for name in _MANIFESTS]
    for each in documents:
        each["metadata"]["namespace"] = NAMESPACE
    pod = documents[-1]["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        container["image"] = image
    _set_directories(pod, runtime)
    if runtime == "crio":
        # containers/common's profile leaves bpf to SYS_ADMIN, whatever BPF says.
        pod["containers"][0]["securityContext"]["seccompProfile"] = {"type": "Unconfined"}
    return yaml.dump_all(documents, Dumper=_PlainDumper, sort_keys=False).encode()


_MANIFESTS: Final = ("serviceaccount", "daemonset")


def _set_directories(pod: dict[str, Any], runtime: str) -> None:
    """Mount the runtime's directories in place of containerd's."""
    kept = [volume for volume in pod["volumes"] if not volume["name"].startswith("containerd-")]
    mounts = pod["containers"][0]["volumeMounts"]
    own = [mount for mount in mounts if not mount["name"].startswith("containerd-")]
    for place, path in enumerate(RUNTIME_DIRECTORIES[runtime]):
        kept.append({"name": f"runtime-{place}", "hostPath": {"path": path, "type": "Directory"}})
        own.append(
            {
                "name": f"runtime-{place}",
                "mountPath": path,
                "readOnly": True,
                "mountPropagation": "HostToContainer",
            }
        )
    pod["volumes"], pod["containers"][0]["volumeMounts"] = kept, own


class _PlainDumper(yaml.SafeDumper):
    """Writes shared parts out each time: kubectl reads anchors, but people do not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
