"""The sensor's wheel and manifests: they build, contain what they should, and require nothing more."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import sensor
from sensor import __version__
from sensor.commands.exit_status import ExitStatus
from sensor.commands.options import parser
from tests.unit.sensor.deployed import DEPLOY, ROOT, built_wheel, pod, rendered

FULL = ROOT / "deploy/sensor-full"
DOCS = (ROOT / "docs/sensor.md").read_text()
KUBERNETES = ("1.30", "1.32", "1.34")
COMMIT = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built and unpacked."""
    directory = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(built_wheel(directory, COMMIT)) as archive:
        archive.extractall(directory / "unpacked")
    return directory / "unpacked"


class TestWheel:
    def test_it_contains_the_sensor_and_nothing_else(self, wheel: Path) -> None:
        held = {str(path.relative_to(wheel)) for path in wheel.rglob("*.py")}
        assert held == {str(path.relative_to(ROOT)) for path in (ROOT / "sensor").rglob("*.py")}
        assert {path.name for path in wheel.iterdir()} == {
            "sensor",
            f"driftwatch_sensor-{sensor.__version__}.dist-info",
        }

    def test_the_kernel_object_and_both_licences_are_in_it(self, wheel: Path) -> None:
        for name in ("capture/bpf/exec.bpf.o", "capture/bpf/LICENSE"):
            assert (wheel / "sensor" / name).read_bytes() == (ROOT / "sensor" / name).read_bytes()
        assert (wheel / "sensor/LICENSE").exists()

    def test_it_reports_the_commit_that_it_was_built_from(self, wheel: Path) -> None:
        command = [sys.executable, "-m", "sensor", "--version"]
        done = subprocess.run(command, cwd=wheel, capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout == f"driftwatch-sensor {__version__}+g{COMMIT[:8]}\n"

    def test_it_runs_from_where_it_is_installed(self, wheel: Path) -> None:
        program = (
            "import sensor; from sensor.commands.main import main; print(sensor.__file__);"
            "raise SystemExit(main(['doctor', '--help']))"
        )
        env = {**os.environ, "PYTHONPATH": str(wheel)}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=wheel, env=env, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(wheel))

    def test_it_requires_at_most_what_the_project_does_and_none_of_the_portal_s_libraries(self, wheel: Path) -> None:
        (metadata,) = wheel.glob("*.dist-info/METADATA")
        needed = {
            line.split(": ", 1)[1] for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist")
        }
        project = (ROOT / "pyproject.toml").read_text()
        assert {name for name in needed if f'"{name}"' not in project} == set()
        assert {name.partition(">")[0] for name in needed} == {
            "cryptography",
            "httpx[http2]",
            "msgspec",
            "prometheus-client",
        }


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return rendered(DEPLOY)


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_full_sensor_has_one_more_capability(manifests: list[dict[str, Any]], version: str) -> None:
    full = rendered(FULL)
    for manifest in full:
        kubernetes_validate.validate(manifest, version, strict=True)
    added = pod(full)["containers"][0]["securityContext"]["capabilities"]["add"]
    assert added.pop() == "SYS_ADMIN"
    assert full == manifests


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_cri_o_component_replaces_containerd_s_directories(
    manifests: list[dict[str, Any]], tmp_path: Path, version: str
) -> None:
    base = os.path.relpath(DEPLOY, tmp_path.resolve())
    overlay = {"resources": [base], "components": [f"{base}/components/cri-o"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    changed = rendered(tmp_path)
    for manifest in changed:
        kubernetes_validate.validate(manifest, version, strict=True)
    assert directories(manifests) - directories(changed) == {"/run/containerd", "/var/lib/containerd"}
    assert directories(changed) - directories(manifests) == {"/run/crio", "/run/containers", "/var/lib/containers"}


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_cluster_api_component_grants_get_on_pods_and_replica_sets_and_nothing_else(
    manifests: list[dict[str, Any]], tmp_path: Path, version: str
) -> None:
    base = os.path.relpath(DEPLOY, tmp_path.resolve())
    overlay = {"resources": [base], "components": [f"{base}/components/cluster-api"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    changed = rendered(tmp_path)
    for manifest in changed:
        kubernetes_validate.validate(manifest, version, strict=True)
    (role,) = [each for each in changed if each["kind"] == "ClusterRole"]
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get"]},
    ]
    (binding,) = [each for each in changed if each["kind"] == "ClusterRoleBinding"]
    (account,) = [each for each in changed if each["kind"] == "ServiceAccount"]
    (subject,) = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == (account["metadata"]["name"], account["metadata"]["namespace"])
    assert pod(changed)["automountServiceAccountToken"] is True
    assert pod(changed)["containers"][0]["args"] == [*pod(manifests)["containers"][0]["args"], "--cluster-api"]
    assert not [each for each in manifests if "Role" in each["kind"]]
    assert pod(manifests)["automountServiceAccountToken"] is False


def directories(manifests: list[dict[str, Any]]) -> set[str]:
    """Return the node's directories that are mounted into the pod, each at the same path."""
    spec = pod(manifests)
    volumes = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]}
    (sensor,) = spec["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in sensor["volumeMounts"]}
    assert mounted == volumes
    return set(mounted.values())


def test_the_image_installs_the_locked_versions_by_hash() -> None:
    check = [sys.executable, str(ROOT / "scripts/image_requirements.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_overlay_sets_portal_and_image_and_adds_the_sys_admin_component(
    manifests: list[dict[str, Any]], tmp_path: Path
) -> None:
    base = os.path.relpath(DEPLOY, tmp_path.resolve())
    overlay = {
        "resources": [base],
        "components": [f"{base}/components/sys-admin"],
        "namespace": "driftwatch",
        "configMapGenerator": [
            {"name": "driftwatch-sensor", "behavior": "merge", "literals": ["PORTAL=https://p.example"]}
        ],
        "images": [{"name": "registry.example/driftwatch-sensor", "newName": "mine/sensor"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    overlaid = rendered(tmp_path)
    added = pod(manifests)["containers"][0]["securityContext"]["capabilities"]["add"]
    sensor = pod(overlaid)["containers"][0]
    assert sensor["securityContext"]["capabilities"]["add"] == [*added, "SYS_ADMIN"]
    assert sensor["image"] == f"mine/sensor:{__version__}"
    (config,) = [each["data"] for each in overlaid if each["kind"] == "ConfigMap"]
    assert config["PORTAL"] == "https://p.example"


class TestDaemonSet:
    @pytest.mark.parametrize("version", KUBERNETES)
    def test_kubernetes_accepts_every_manifest(self, manifests: list[dict[str, Any]], version: str) -> None:
        for manifest in manifests:
            kubernetes_validate.validate(manifest, version, strict=True)

    def test_no_container_is_privileged_and_each_has_limits(self, manifests: list[dict[str, Any]]) -> None:
        spec = pod(manifests)
        assert "hostNetwork" not in spec
        for container in (*spec["initContainers"], *spec["containers"]):
            context = container["securityContext"]
            assert (context.get("privileged"), context["allowPrivilegeEscalation"]) == (None, False)
            assert (context["readOnlyRootFilesystem"], context["capabilities"]["drop"]) == (True, ["ALL"])
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}

    def test_the_sensor_is_probed_where_it_serves_health(self, manifests: list[dict[str, Any]]) -> None:
        (container,) = pod(manifests)["containers"]
        arguments = parser().parse_args(container["args"])
        assert arguments.keep_pins
        port = arguments.metrics_port
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["exec"]["command"] == ["python", "-m", "sensor", "health", str(port)]

    def test_the_commands_exist(self, manifests: list[dict[str, Any]]) -> None:
        (enrol,) = pod(manifests)["initContainers"]
        arguments = [each.replace("$(DISTRIBUTION)", "aks") for each in enrol["args"]]
        assert parser().parse_args(arguments).unless_enrolled

    def test_each_capability_is_explained(self, manifests: list[dict[str, Any]]) -> None:
        (container,) = pod(manifests)["containers"]
        added = container["securityContext"]["capabilities"]["add"]
        assert [name for name in added if f"| `{name}` |" not in DOCS] == []


class TestUnit:
    def unit(self) -> str:
        return (DEPLOY / "driftwatch-sensor.service").read_text()

    def test_it_starts_a_command_that_exists(self) -> None:
        (line,) = [line for line in self.unit().splitlines() if line.startswith("ExecStart=")]
        arguments = parser().parse_args(line.split()[1:])
        assert (arguments.command, arguments.keep_pins) == ("run", True)

    def test_it_does_not_restart_where_that_cannot_help(self) -> None:
        final = (ExitStatus.USAGE, ExitStatus.NOT_ENROLLED, ExitStatus.REVOKED, ExitStatus.STATE)
        line = f"RestartPreventExitStatus={' '.join(str(status.value) for status in final)}"
        assert line in self.unit()
        assert line in DOCS

    def test_each_capability_is_explained(self) -> None:
        (line,) = [line for line in self.unit().splitlines() if line.startswith("CapabilityBoundingSet=")]
        names = [name.removeprefix("CAP_") for name in line.split("=")[1].split()]
        assert [name for name in names if f"| `{name}` |" not in DOCS] == []
