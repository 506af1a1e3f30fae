"""The DaemonSet's pod as a kubelet would run it: its manifest translated for podman, and for containerd's CRI.

Two things are not as in a cluster: the network is the node's, as there is no CNI here, and directories of the node that
a test must not touch are replaced (`places`). Field numbers are those of runtime/v1/api.proto.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.container.protobuf import field
from tests.system import podman
from tests.system.node import SLICE, namespace_options
from tests.unit.sensor.deployed import pod

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NODE: Final = "node-7"
PROPAGATION: Final = {"None": ("rprivate", 0), "HostToContainer": ("rslave", 1)}
"""Of a mount: what podman calls it, and CRI's number."""
SECCOMP: Final = {"RuntimeDefault": 0, "Unconfined": 1}
PERIOD: Final = 100_000
"""Microseconds, of which a limit of CPU is a part (the kubelet's default)."""
HOST: Final = 2
"""CRI's NamespaceMode NODE."""
UNITS: Final = {"": 1.0, "m": 0.001, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
CRITICAL: Final = 997
"""Of oom_score_adj for a critical pod, negative (kubelet, pkg/kubelet/qos)."""


@dataclasses.dataclass(frozen=True)
class Mount:
    source: Path
    target: str
    read_only: bool
    propagation: str


@dataclasses.dataclass(frozen=True)
class Container:
    """One container of the pod, with all that the kubelet fills in."""

    name: str
    image: str
    args: list[str]
    env: dict[str, str]
    mounts: list[Mount]
    context: dict[str, Any]
    limits: dict[str, float]
    probes: dict[str, list[str]]
    """Their commands, by kind of probe."""
    host_pids: bool
    grace: int
    """Seconds from SIGTERM to SIGKILL."""


def containers(
    manifests: list[dict[str, Any]], secret: Mapping[str, str], places: Mapping[str, Path]
) -> dict[str, Container]:
    """The pod's containers by name; `secret` is the one it mounts.

    `places` maps the node's paths, and names of ConfigMaps that are mounted, to directories.
    """
    spec = pod(manifests)
    sources = {"config": _config(manifests), "secret": secret}
    volumes = {}
    for volume in spec["volumes"]:
        path = volume["hostPath"]["path"] if "hostPath" in volume else volume["configMap"]["name"]
        volumes[volume["name"]] = places.get(path, Path(path))
    return {
        each["name"]: _container(spec, each, sources, volumes) for each in spec["initContainers"] + spec["containers"]
    }


def _container(
    spec: dict[str, Any], said: dict[str, Any], sources: Mapping[str, Mapping[str, str]], volumes: Mapping[str, Path]
) -> Container:
    env = dict(_environment(said, sources))
    return Container(
        name=said["name"],
        image=said["image"],
        args=[re.sub(r"\$\((\w+)\)", lambda name: env[name[1]], arg) for arg in said["args"]],
        env=env,
        mounts=[_mount(each, volumes) for each in said["volumeMounts"]],
        context=said["securityContext"],
        limits={name: quantity(value) for name, value in said["resources"]["limits"].items()},
        probes={name: said[name]["exec"]["command"] for name in said if name.endswith("Probe")},
        host_pids=spec["hostPID"],
        grace=spec["terminationGracePeriodSeconds"],
    )


def _config(manifests: list[dict[str, Any]]) -> dict[str, str]:
    return next((dict(each["data"]) for each in manifests if each["kind"] == "ConfigMap"), {})


def _environment(said: dict[str, Any], sources: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    if "envFrom" in said:
        yield from sources["config"].items()
    for each in said.get("env", ()):
        source = each.get("valueFrom", {})
        if "value" in each:
            yield each["name"], each["value"]
        elif "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "spec.nodeName"
            yield each["name"], NODE
        elif source["secretKeyRef"]["key"] in sources["secret"]:
            yield each["name"], sources["secret"][source["secretKeyRef"]["key"]]
        else:
            assert source["secretKeyRef"]["optional"]


def _mount(said: dict[str, Any], volumes: Mapping[str, Path]) -> Mount:
    propagation = said.get("mountPropagation", "None")
    return Mount(volumes[said["name"]], said["mountPath"], said.get("readOnly", False), propagation)


def quantity(text: str | int) -> float:
    """A number as Kubernetes writes it, as in 500m or 256Mi."""
    number, unit = re.fullmatch(r"(\d+)(\D*)", str(text)).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def podman_options(container: Container) -> list[str]:
    """What `podman run` is asked for."""
    context = container.context
    assert context["allowPrivilegeEscalation"] is False
    options = [f"--user={context['runAsUser']}", "--security-opt=no-new-privileges"]
    options += [f"--cap-drop={name}" for name in context["capabilities"]["drop"]]
    options += [f"--cap-add={name}" for name in context["capabilities"].get("add", ())]
    options += ["--pid=host"] if container.host_pids else []
    options += ["--read-only", "--read-only-tmpfs=false"] if context["readOnlyRootFilesystem"] else []
    options += ["--security-opt=seccomp=unconfined"] if context["seccompProfile"]["type"] == "Unconfined" else []
    options += [f"--memory={int(container.limits['memory'])}", f"--cpus={container.limits['cpu']}"]
    options += [f"--env={name}={value}" for name, value in container.env.items()]
    options += [_volume(mount) for mount in container.mounts]
    return [*options, f"--stop-timeout={container.grace}"]


def _volume(mount: Mount) -> str:
    mode = "ro" if mount.read_only else "rw"
    return f"--volume={mount.source}:{mount.target}:{mode},{PROPAGATION[mount.propagation][0]}"


def cri_container(container: Container, attempt: int) -> bytes:
    """CRI's ContainerConfig; `attempt` counts the pod's containers."""
    config = field(1, field(1, container.name) + field(2, attempt)) + field(2, field(1, container.image))
    config += b"".join(field(4, word) for word in container.args)
    config += b"".join(field(6, field(1, name) + field(2, value)) for name, value in container.env.items())
    config += b"".join(field(7, _cri_mount(mount)) for mount in container.mounts)
    config += field(11, f"{attempt}.log")
    return config + field(15, field(1, _cri_resources(container)) + field(2, _cri_security(container)))


def _cri_mount(mount: Mount) -> bytes:
    places = field(1, mount.target) + field(2, str(mount.source))
    return places + field(3, int(mount.read_only)) + field(5, PROPAGATION[mount.propagation][1])


def _cri_resources(container: Container) -> bytes:
    limits = container.limits
    times = field(1, PERIOD) + field(2, int(limits["cpu"] * PERIOD))
    return times + field(4, int(limits["memory"])) + field(5, 2**64 - CRITICAL)


def _cri_security(container: Container) -> bytes:
    context = container.context
    # runc refuses what podman leaves out: a capability that the machine that tests run on has not itself.
    here = bounding_set()
    capabilities = b"".join(field(1, name) for name in context["capabilities"].get("add", ()) if mask([name]) & here)
    capabilities += b"".join(field(2, name) for name in context["capabilities"]["drop"])
    security = field(1, capabilities) + field(3, _cri_namespaces(container)) + field(5, field(1, context["runAsUser"]))
    security += field(7, int(context["readOnlyRootFilesystem"]))
    security += field(11, int(not context["allowPrivilegeEscalation"]))
    security += field(15, field(1, SECCOMP[context["seccompProfile"]["type"]]))
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        security += field(16, field(1, SECCOMP["Unconfined"]))
    return security


def cri_sandbox(container: Container, logs: Path) -> bytes:
    """CRI's PodSandboxConfig of the pod."""
    metadata = field(1, "driftwatch-sensor-x2kfz") + field(2, "driftwatch-sensor-uid") + field(3, "driftwatch")
    parent = field(1, SLICE) if podman.has_systemd() else b""
    shared = field(2, field(1, _cri_namespaces(container)))
    return field(1, metadata) + field(3, str(logs)) + field(8, parent + shared)


def _cri_namespaces(container: Container) -> bytes:
    """CRI's NamespaceOption."""
    return namespace_options() + (field(2, HOST) if container.host_pids else b"")


def mask(names: list[str]) -> int:
    """Capabilities as bits (linux/capability.h)."""
    bits = {"DAC_READ_SEARCH": 2, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39}
    return sum(1 << bits[name] for name in names)


def bounding_set() -> int:
    """The capabilities that a process of these tests may have at all."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd")]
    return int(line.split()[1], 16)
