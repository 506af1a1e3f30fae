"""One line for each way to install sensors, filled in for one enrolment token. Pure.

Every value is quoted for a POSIX shell, and given to Helm by `--set-literal`, which gives no character a meaning.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from drift.fleet.domain.sensor_platforms import CAPABILITIES, ENGINE_DIRECTORIES, Platform

STATE = "/var/lib/driftwatch-sensor"
UNIT = "driftwatch-sensor.service"
PROGRAM = "/opt/driftwatch-sensor/bin/driftwatch-sensor"


@dataclass(frozen=True)
class Onboarding:
    """What the lines are filled in with. `files` is the address below which the portal serves the sensor's files."""

    portal: str
    token: str
    cluster: str
    hosts: str
    """The name of the group of hosts without Kubernetes."""
    platform: Platform
    image: str
    package: str
    files: str
    chart: str
    """The chart's file name."""


@dataclass(frozen=True)
class Line:
    """A command for one way; `checks` are those that say what is wrong where nothing reports."""

    way: str
    title: str
    needs: str
    command: str
    checks: tuple[str, ...]


def onboarding_lines(place: Onboarding) -> list[Line]:
    """Return the lines, the usual way first."""
    in_cluster = (
        "kubectl -n driftwatch get pods --output=wide",
        "kubectl -n driftwatch logs daemonset/driftwatch-sensor --all-containers --tail=20",
        "kubectl -n driftwatch exec daemonset/driftwatch-sensor -c sensor -- driftwatch-sensor doctor",
    )
    return [
        Line("helm", "Kubernetes, with Helm", "Helm 3.14 and Kubernetes 1.29, or newer", _helm(place), in_cluster),
        Line("kubectl", "Kubernetes, with kubectl", "Kubernetes 1.29 or newer", _kubectl(place), in_cluster),
        Line(
            "host",
            "A plain host, as a service",
            "systemd, Python 3.11 or newer with venv, curl and libbpf (Debian: libbpf1); as root",
            _host(place),
            (
                "systemctl status driftwatch-sensor",
                "journalctl -u driftwatch-sensor -n 20",
                f"{PROGRAM} doctor",
            ),
        ),
        _engine("docker", "A host with Docker", place),
        _engine("podman", "A host with podman", place),
    ]


def _helm(place: Onboarding) -> str:
    repository, tag, digest = image_parts(place.image)
    values = {
        "portal": place.portal,
        "cluster": place.cluster,
        "distribution": place.platform.distribution,
        "runtime": place.platform.runtime,
        "image.repository": repository,
        "image.tag": tag,
        "image.digest": digest,
        "enrolment.token": place.token,
    }
    words = ["helm", "upgrade", "--install", "driftwatch-sensor", f"{place.files}/{place.chart}"]
    words += ["--namespace", "driftwatch", "--create-namespace"]
    return shlex.join([*words, *(f"--set-literal={name}={value}" for name, value in values.items() if value)])


def _kubectl(place: Onboarding) -> str:
    literals = {"PORTAL": place.portal, "CLUSTER": place.cluster, "DISTRIBUTION": place.platform.distribution}
    config = shlex.join(f"--from-literal={name}={value}" for name, value in literals.items())
    version = """--from-literal=KUBERNETES_VERSION="$(kubectl version | sed -n 's/^Server Version: //p')\""""
    secret = ["kubectl", "-n", "driftwatch", "create", "secret", "generic", "driftwatch-enrolment"]
    secret.append(f"--from-literal=token={place.token}")
    return " && ".join(
        [
            "kubectl create namespace driftwatch",
            shlex.join(secret),
            f"kubectl -n driftwatch create configmap driftwatch-sensor {config} {version}",
            shlex.join(["kubectl", "apply", "-f", f"{place.files}/driftwatch-sensor.yaml"]),
        ]
    )


def _host(place: Onboarding) -> str:
    enrol = [PROGRAM, "enrol", "--unless-enrolled", f"--portal={place.portal}", f"--cluster={place.hosts}"]
    fetch = ["curl", "--fail", "--silent", "--show-error", "--output", f"/etc/systemd/system/{UNIT}"]
    return " && ".join(
        [
            "python3 -m venv /opt/driftwatch-sensor",
            shlex.join(["/opt/driftwatch-sensor/bin/pip", "install", "--quiet", place.package]),
            f"{_token(place)} {shlex.join([*enrol, '--distribution=other'])}",
            shlex.join([*fetch, f"{place.files}/{UNIT}"]),
            "systemctl daemon-reload",
            "systemctl enable --now driftwatch-sensor",
        ]
    )


def _engine(engine: str, title: str, place: Onboarding) -> Line:
    state = f"--volume={STATE}:{STATE}"
    once = [engine, "run", "--rm", "--network=host", "--cap-drop=all", state, "--env=DRIFTWATCH_ENROLMENT_TOKEN"]
    enrol = ["enrol", "--unless-enrolled", f"--portal={place.portal}", f"--cluster={place.hosts}"]
    enrol += ["--distribution=other", "--capability=ebpf"]
    run = [engine, "run", "--detach", "--name=driftwatch-sensor", "--restart=always", "--pid=host", "--network=host"]
    run += ["--read-only", "--cap-drop=all", *(f"--cap-add={name}" for name in CAPABILITIES)]
    run += ["--security-opt=no-new-privileges", "--security-opt=apparmor=unconfined", "--memory=256m", state]
    run += ["--volume=/sys/fs/bpf:/sys/fs/bpf"]
    # At the same paths as on the node: the mount table names layers by them.
    run += [f"--volume={path}:{path}:ro,rslave" for path in ENGINE_DIRECTORIES[engine]]
    return Line(
        engine,
        title,
        "Linux 5.11 or newer; as root",
        " && ".join(
            [
                f"mkdir -p {STATE}",
                f'{_token(place)} {shlex.join([*once, place.image, *enrol])} --node="$(hostname)"',
                shlex.join([*run, place.image, "run", "--keep-pins"]),
            ]
        ),
        (
            f"{engine} logs --tail 20 driftwatch-sensor",
            f"{engine} exec driftwatch-sensor driftwatch-sensor doctor",
        ),
    )


def _token(place: Onboarding) -> str:
    return f"DRIFTWATCH_ENROLMENT_TOKEN={shlex.quote(place.token)}"


def image_parts(image: str) -> tuple[str, str, str]:
    """Return repository, tag and digest of an image reference; "" for what it does not name."""
    name, _, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "", digest
    return head, tag, digest
