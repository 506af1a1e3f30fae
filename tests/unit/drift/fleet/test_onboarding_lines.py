"""The onboarding lines: what a shell, Helm and kubectl make of them, whatever the values are."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from drift.fleet.domain.onboarding_lines import Onboarding, image_parts, onboarding_lines
from drift.fleet.domain.sensor_platforms import MANAGED, PLATFORMS, RUNTIME_DIRECTORIES
from drift.fleet.models import Distribution, Provider
from drift.fleet.queries import sensor_files
from sensor.commands.options import parser
from tests.unit import charts
from tests.unit.sensor.deployed import DEPLOY, pod
from tests.unit.sensor.deployed import rendered as kustomized

HOSTILE: Final = [
    "prod",
    "it's",
    'a "quoted" one',
    "a, b={c},[d]",
    "$(touch pwned) `touch pwned`",
    "back\\slash\\,comma",
    "; touch pwned #",
    "-n --help",
    "ünïcode 東京",
    "null",
    "1e3",
    "{x",
]
FILES = "https://driftwatch.example/sensor-files/c2lnbmVk:x"
RECORDER = """#!/bin/sh
printf '%s\\0' "$(basename "$0")" "$@" >> "$RECORD"; printf '\\n\\0' >> "$RECORD"
[ "$*" = version ] && echo "Client Version: v1.30.1" && echo "Server Version: v1.34.1"
true
"""


def place(**changes: Any) -> Onboarding:
    facts = {
        "portal": "https://driftwatch.example",
        "token": "dwe_abc_secret",
        "cluster": "prod",
        "hosts": "hosts",
        "platform": PLATFORMS["aks"],
        "image": "registry.example/driftwatch-sensor:0.2.0",
        "package": "driftwatch-sensor==0.2.0",
        "files": FILES,
        "chart": "driftwatch-sensor-0.2.0.tgz",
        **changes,
    }
    return Onboarding(**facts)


def line(way: str, **changes: Any) -> str:
    return next(each.command for each in onboarding_lines(place(**changes)) if each.way == way)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Return a function that runs a line in a shell whose programs only record their words."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("helm", "kubectl", "docker", "podman", "python3", "pip", "curl", "systemctl", "mkdir"):
        (programs / name).write_text(RECORDER)
        (programs / name).chmod(0o755)

    def ran(command: str) -> list[list[str]]:
        record = tmp_path / "record"
        record.unlink(missing_ok=True)
        shell = "/bin/sh"
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "RECORD": str(record)}
        done = subprocess.run([shell, "-c", command], env=environment, cwd=tmp_path, check=False, timeout=30)
        assert done.returncode == 0
        assert not (tmp_path / "pwned").exists()
        return [call.split("\0")[:-1] for call in record.read_text().split("\n\0") if call]

    return ran


@pytest.mark.parametrize("way", ["helm", "kubectl", "host", "docker", "podman"])
def test_each_is_one_line_with_everything_filled_in(way: str) -> None:
    command = line(way)
    assert "\n" not in command
    assert "dwe_abc_secret" in command
    assert "https://driftwatch.example" in command
    assert ("prod" if way in ("helm", "kubectl") else "hosts") in command
    assert not any(word in command for word in ("YOUR-", "CLUSTER=CLUSTER", "<", "…"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_shell_hands_helm_every_value_as_it_is(run: Any, name: str) -> None:
    ((program, *words),) = run(line("helm", cluster=name, platform=PLATFORMS["k3s"]))
    assert (program, words[:4]) == (
        "helm",
        ["upgrade", "--install", "driftwatch-sensor", f"{FILES}/driftwatch-sensor-0.2.0.tgz"],
    )
    assert f"--set-literal=cluster={name}" in words
    assert "--set-literal=runtime=k3s" in words


@pytest.mark.parametrize("name", HOSTILE)
def test_a_shell_hands_kubectl_every_value_as_it_is(run: Any, name: str) -> None:
    calls = run(line("kubectl", cluster=name))
    config = next(words for words in calls if "configmap" in words)
    assert f"--from-literal=CLUSTER={name}" in config
    assert "--from-literal=KUBERNETES_VERSION=v1.34.1" in config
    assert ["kubectl", "apply", "-f", f"{FILES}/driftwatch-sensor.yaml"] == calls[-1]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_an_engine_enrols_and_then_runs_and_no_argument_holds_the_token(run: Any, engine: str, name: str) -> None:
    calls = [words for words in run(line(engine, hosts=name)) if words[0] == engine]
    enrol, running = calls
    assert f"--cluster={name}" in enrol
    assert not any("dwe_abc_secret" in word for words in calls for word in words)
    image = enrol.index("registry.example/driftwatch-sensor:0.2.0")
    parsed = parser().parse_args(enrol[image + 1 :])
    assert (parsed.cluster, parsed.distribution, parsed.portal) == (name, "other", "https://driftwatch.example")
    assert running[-2:] == ["run", "--keep-pins"]


def test_a_plain_host_installs_enrols_and_starts_the_unit(run: Any) -> None:
    command = line("host").replace("/opt/driftwatch-sensor/bin/", "")
    with_enrol = command.replace("driftwatch-sensor enrol", "curl enrol")
    calls = run(with_enrol)
    assert [words[0] for words in calls] == ["python3", "pip", "curl", "curl", "systemctl", "systemctl"]
    parsed = parser().parse_args(calls[2][1:])
    assert (parsed.cluster, parsed.distribution, parsed.unless_enrolled) == ("hosts", "other", True)
    assert calls[3][-2:] == ["/etc/systemd/system/driftwatch-sensor.service", f"{FILES}/driftwatch-sensor.service"]


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("registry.example/x:1", ("registry.example/x", "1", "")),
        ("registry.example:5000/x", ("registry.example:5000/x", "", "")),
        ("registry.example:5000/x:1@sha256:ab", ("registry.example:5000/x", "1", "sha256:ab")),
        ("x@sha256:ab", ("x", "", "sha256:ab")),
    ],
)
def test_an_image_is_taken_apart_as_the_chart_wants_it(image: str, parts: tuple[str, str, str]) -> None:
    assert image_parts(image) == parts


def test_every_cloud_has_its_managed_kubernetes_and_every_distribution_a_platform() -> None:
    assert set(MANAGED) == set(Provider.values)
    assert {PLATFORMS[each].distribution for each in MANAGED.values()} < set(Distribution.values)
    assert set(Distribution.values) <= set(PLATFORMS)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", ["prod", "it's, a={x} \\ $(y)"])
def test_helm_renders_the_line_from_the_chart_that_the_portal_serves(
    tmp_path: Path, platform: str, name: str, settings: Any, run: Any
) -> None:
    signed = sensor_files.signed_place(PLATFORMS[platform].runtime, "registry.example/x:1")
    served = tmp_path / sensor_files.chart_name()
    served.write_bytes(sensor_files.sensor_file(signed, served.name) or b"")
    ((_, _, _, release, _, *options),) = run(line("helm", platform=PLATFORMS[platform], cluster=name))
    options.remove("--create-namespace")
    done = charts.run("template", release, str(served), *options, "--kube-version", "v1.34.0")
    assert done.returncode == 0, done.stderr
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    enrol = pod(made)["initContainers"][0]
    assert f"--cluster={name}" in enrol["args"]
    assert f"--distribution={PLATFORMS[platform].distribution}" in enrol["args"]
    assert enrol["image"] == "registry.example/driftwatch-sensor:0.2.0"
    (secret,) = [each for each in made if each["kind"] == "Secret"]
    assert "dwe_abc_secret" in json.dumps(secret) or "ZHdlX2FiY19zZWNyZXQ=" in json.dumps(secret)
    paths = [each["hostPath"]["path"] for each in pod(made)["volumes"] if each["name"].startswith("runtime-")]
    assert paths == list(RUNTIME_DIRECTORIES[PLATFORMS[platform].runtime])


def test_the_chart_is_the_same_bytes_each_time_and_holds_what_helm_packs() -> None:
    packed = sensor_files.sensor_file(sensor_files.signed_place("k3s", "x"), sensor_files.chart_name()) or b""
    sensor_files._chart.cache_clear()
    again = sensor_files.sensor_file(sensor_files.signed_place("k0s", "y"), sensor_files.chart_name())
    assert packed == again
    with tarfile.open(fileobj=io.BytesIO(packed)) as chart:
        found = {name.removeprefix("driftwatch-sensor/") for name in chart.getnames()}
    root = DEPLOY.parent / "charts/driftwatch-sensor"
    assert found == {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("runtime", RUNTIME_DIRECTORIES)
def test_the_served_manifests_are_the_kustomization_s_pod_with_the_runtime_s_directories(runtime: str) -> None:
    signed = sensor_files.signed_place(runtime, "registry.example/x:1")
    served = list(yaml.safe_load_all(sensor_files.sensor_file(signed, sensor_files.YAML) or b""))
    assert {each["metadata"]["namespace"] for each in served} == {"driftwatch"}
    made = pod(served)
    usual = pod([each for each in kustomized(DEPLOY) if each["kind"] == "DaemonSet"])
    for container in made["initContainers"] + made["containers"]:
        assert container["image"] == "registry.example/x:1"
    mounts = [each["mountPath"] for each in made["containers"][0]["volumeMounts"]]
    assert mounts[-len(RUNTIME_DIRECTORIES[runtime]) :] == list(RUNTIME_DIRECTORIES[runtime])
    sensor, same = made["containers"][0], usual["containers"][0]
    for key in ("args", "resources", "startupProbe", "readinessProbe", "livenessProbe"):
        assert sensor[key] == same[key]
    assert sensor["securityContext"]["capabilities"] == same["securityContext"]["capabilities"]
    profile = "Unconfined" if runtime == "crio" else "RuntimeDefault"
    assert sensor["securityContext"]["seccompProfile"] == {"type": profile}
    assert made["initContainers"][0]["envFrom"] == [{"configMapRef": {"name": "driftwatch-sensor"}}]
