"""The sample estate: six sensors on three clouds that replay recorded execs, and this machine's own."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portal.embedded.errors import EmbeddedError
from portal.serve.programs import Program
from portal.serve.stack import SENSORS

SAMPLES = Path("sensor/samples")
FINAL_STATUSES = frozenset({2, 4, 7, 8})
"""Exit statuses of a sensor after which a restart does not help (docs/sensor.md)."""


@dataclass(frozen=True)
class SampleEnvironment:
    provider: str
    account: str
    name: str


@dataclass(frozen=True)
class SampleSensor:
    """One node. `replay` names its recording in sensor/samples; None: it captures this machine's execs."""

    account: str
    cluster: str
    distribution: str
    kubernetes_version: str | None
    node: str
    replay: str | None


ENVIRONMENTS = (
    SampleEnvironment("azure", "8c2f6a1e-5d0b-4e57-9a34-2f7d61c0b9aa", "Contoso production"),
    SampleEnvironment("azure", "1f4b7c90-3e1d-4b8f-8f7e-6a5d90b1c2dd", "Contoso development"),
    SampleEnvironment("aws", "123456789012", "Payments"),
    SampleEnvironment("gcp", "contoso-ml-4711", "Machine learning"),
)
SAMPLE_SENSORS = (
    SampleSensor(ENVIRONMENTS[0].account, "aks-shop-weu", "aks", "v1.31.2", "aks-shop-vmss000000", "web-shop.jsonl"),
    SampleSensor(ENVIRONMENTS[0].account, "aks-shop-weu", "aks", "v1.31.2", "aks-shop-vmss000001", "kube-system.jsonl"),
    SampleSensor(ENVIRONMENTS[1].account, "aks-dev", "aks", "v1.30.6", "aks-dev-vmss000000", "dev.jsonl"),
    SampleSensor(
        ENVIRONMENTS[2].account, "eks-payments", "eks", "v1.31.4-eks-2d5f260", "ip-10-0-3-17", "payments.jsonl"
    ),
    SampleSensor(ENVIRONMENTS[2].account, "eks-ci", "eks", "v1.30.8-eks-2d5f260", "ip-10-0-9-4", "ci.jsonl"),
    SampleSensor(
        ENVIRONMENTS[3].account, "gke-training", "gke", "v1.31.5-gke.1", "gke-training-pool-1-x7k2", "ml.jsonl"
    ),
)


def sensors_here() -> tuple[SampleSensor, ...]:
    """Return the sample sensors, and a real one if this machine runs containers and we are root."""
    if not _has_containers():
        return SAMPLE_SENSORS
    here = SampleSensor(ENVIRONMENTS[1].account, "this-machine", "other", None, platform.node() or "localhost", None)
    return (*SAMPLE_SENSORS, here)


def _has_containers() -> bool:
    podman = shutil.which("podman")
    if platform.system() != "Linux" or os.geteuid() != 0 or podman is None:
        return False
    listed = subprocess.run([podman, "ps", "--quiet"], capture_output=True, text=True, check=False, timeout=20)
    return bool(listed.stdout.strip())


def enrol(sensors: tuple[SampleSensor, ...], url: str, tokens: Mapping[str, str], directory: Path) -> None:
    """Enrol the sensors that have no identity yet, all at once, by the real program over the real API."""
    started = [
        (
            sensor,
            subprocess.Popen(
                _enrol_command(sensor, url, directory),
                env=_enrol_env(tokens[sensor.account]),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ),
        )
        for sensor in sensors
        if not (directory / sensor.node / "identity.json").exists()
    ]
    for sensor, process in started:
        output, _ = process.communicate(timeout=60)
        if process.returncode:
            raise EmbeddedError(f"Sensor {sensor.node} could not enrol: {output.strip()}")


def _enrol_env(token: str) -> dict[str, str]:
    return {**os.environ, "DRIFTWATCH_ENROLMENT_TOKEN": token}


def _enrol_command(sensor: SampleSensor, url: str, directory: Path) -> list[str]:
    options = {
        "--portal": url,
        "--cluster": sensor.cluster,
        "--distribution": sensor.distribution,
        "--node": sensor.node,
        "--state": str(directory / sensor.node),
    }
    if sensor.kubernetes_version:
        options["--kubernetes-version"] = sensor.kubernetes_version
    if sensor.replay:
        # Given, because detecting it would load the kernel program once per sensor.
        options["--capability"] = "replay"
    return [sys.executable, "-m", "sensor", "enrol", *(part for pair in options.items() for part in pair)]


def programs(sensors: tuple[SampleSensor, ...], directory: Path) -> list[Program]:
    """Return one program per sensor."""
    return [
        Program(f"sensor-{sensor.node}", _run_command(sensor, directory), SENSORS, final_codes=FINAL_STATUSES)
        for sensor in sensors
    ]


def _run_command(sensor: SampleSensor, directory: Path) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "sensor",
        "run",
        "--state",
        str(directory / sensor.node),
        "--heartbeat-seconds",
        "20",
    ]
    if sensor.replay is None:
        return [*command, "--capture", "ebpf"]
    return [*command, "--capture", "replay", "--replay", str(SAMPLES / sensor.replay)]
