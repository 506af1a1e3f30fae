"""The sensor's chart: valid in every branch, and by default the pod of deploy/sensor."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest

from sensor import __version__
from sensor.commands.options import parser
from tests.unit.charts import CHARTS, named, pods, rendered, run, untried
from tests.unit.sensor.deployed import DEPLOY
from tests.unit.sensor.deployed import rendered as kustomized

CHART = "driftwatch-sensor"
KUBERNETES = ("1.29", "1.32", "1.35", "1.37")
LEAST: dict[str, Any] = {"portal": "https://drift.example", "cluster": "prod-eu"}
RUNTIMES = {
    "containerd": {"/run/containerd", "/var/lib/containerd"},
    "crio": {"/run/crio", "/run/containers", "/var/lib/containers"},
    "docker": {"/run/docker", "/run/containerd", "/var/lib/docker"},
    "k3s": {"/run/k3s", "/var/lib/rancher"},
    "rke2": {"/run/k3s", "/var/lib/rancher"},
    "k0s": {"/run/k0s", "/var/lib/k0s"},
    "microk8s": {"/var/snap/microk8s/common"},
}
EVERYTHING: dict[str, Any] = {
    **LEAST,
    "distribution": "eks",
    "kubernetesVersion": "v1.34.1-eks-1",
    "enrolment": {"token": "dwe_not-a-real-token"},
    "image": {"repository": "mirror.example/dw", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "mirror"}],
    "sysAdmin": True,
    "kernelBefore511": True,
    "openshift": True,
    "clusterApi": True,
    "extraArgs": ["--libraries", "--mask-name=PIN"],
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.drift.example:3128"}],
    "envFrom": [{"configMapRef": {"name": "proxy"}}],
    "certificateAuthority": {"configMap": "ca"},
    "metrics": {
        "enabled": True,
        "podMonitor": True,
        "scrapedBy": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
    },
    "affinity": {"nodeAffinity": {}},
    "podAnnotations": {"a": "b"},
}
NODES: dict[str, Any] = {
    **LEAST,
    "image": {"tag": "0.3.0", "pullPolicy": "Always"},
    "certificateAuthority": {"configMap": "ca", "key": "roots.pem"},
    "metrics": {"enabled": True, "port": 9999},
    "stateDirectory": "/srv/driftwatch",
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    "maxUnavailable": 1,
    "nodeSelector": {"pool": "shop"},
    "tolerations": [],
    "priorityClassName": "high",
}
BRANCHES = {
    "least": LEAST,
    "everything": EVERYTHING,
    "nodes": NODES,
    "a secret of one's own": {**LEAST, "enrolment": {"existingSecret": "ours", "key": "enrol"}},
    "metrics for nobody": {**LEAST, "metrics": {"enabled": True}},
    "directories of one's own": {**LEAST, "runtimeDirectories": ["/srv/run", "/srv/lib"]},
    **{name: {**LEAST, "runtime": name} for name in RUNTIMES},
}
CUSTOM_RESOURCES = {"PodMonitor", "SecurityContextConstraints"}


def directories(values: dict[str, Any]) -> set[str]:
    """Return the node's directories that the sensor sees, each at the same path."""
    (pod,) = pods(rendered(CHART, values)).values()
    volumes = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each}
    mounted = {
        each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if each["name"] in volumes
    }
    assert mounted == volumes
    return set(mounted.values()) - {"/sys/fs/bpf", "/var/lib/driftwatch-sensor"}


def test_every_value_is_tried() -> None:
    assert untried(CHART, BRANCHES.values()) == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", BRANCHES.values(), ids=BRANCHES)
def test_every_branch_is_valid_for_each_kubernetes(values: dict[str, Any], version: str) -> None:
    for manifest in rendered(CHART, values, version):
        if manifest["kind"] not in CUSTOM_RESOURCES:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("values", BRANCHES.values(), ids=BRANCHES)
def test_helm_finds_nothing_to_complain_of(values: dict[str, Any]) -> None:
    done = run("lint", "--strict", str(CHARTS / CHART), values=values)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("wrong", "named_in_error"),
    [
        ({"cluster": "a"}, "portal"),
        ({"portal": "drift.example", "cluster": "a"}, "portal"),
        ({"portal": "https://drift.example"}, "cluster"),
        ({**LEAST, "runtime": "rkt"}, "runtime"),
        ({**LEAST, "distribution": "openshift"}, "distribution"),
        ({**LEAST, "metrics": {"port": 80}}, "port"),
        ({**LEAST, "sysadmin": True}, "sysadmin"),
        ({**LEAST, "runtimeDirectories": ["var/lib"]}, "runtimeDirectories"),
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong: dict[str, Any], named_in_error: str) -> None:
    done = run("template", "dw", str(CHARTS / CHART), values=wrong)
    assert done.returncode != 0
    assert named_in_error in done.stderr


def test_by_default_the_pod_is_that_of_the_kustomization() -> None:
    values = {
        **LEAST,
        "distribution": "aks",
        "kubernetesVersion": "v1.31.2",
        "enrolment": {"existingSecret": "driftwatch-enrolment"},
    }
    (ours,) = pods(rendered(CHART, values, release="driftwatch-sensor")).values()
    (theirs,) = pods(kustomized(DEPLOY)).values()
    assert _comparable(ours) == _comparable(theirs)


def _comparable(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the pod without what is only written another way: names of volumes, where a value comes from."""
    config = {
        "PORTAL": "https://drift.example",
        "CLUSTER": "prod-eu",
        "DISTRIBUTION": "aks",
        "KUBERNETES_VERSION": "v1.31.2",
    }
    paths = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"]}
    for container in [*pod["initContainers"], *pod["containers"]]:
        for name in ("envFrom", "imagePullPolicy"):
            container.pop(name, None)
        container["args"] = [
            re.sub(r"\$\((\w+)\)", lambda name: config.get(name[1], name[0]), arg) for arg in container["args"]
        ]
        for mount in container["volumeMounts"]:
            mount["name"] = paths[mount["name"]]
        container["volumeMounts"].sort(key=lambda mount: mount["mountPath"])
    for volume in pod["volumes"]:
        volume["name"] = volume["hostPath"]["path"]
    pod["volumes"].sort(key=lambda volume: volume["name"])
    return pod


@pytest.mark.parametrize(("runtime", "expected"), RUNTIMES.items(), ids=RUNTIMES)
def test_the_runtime_s_directories_are_mounted_at_the_node_s_paths(runtime: str, expected: set[str]) -> None:
    assert directories({**LEAST, "runtime": runtime}) == expected
    assert directories({**LEAST, "runtime": runtime, "runtimeDirectories": ["/srv/run"]}) == {"/srv/run"}


@pytest.mark.parametrize("values", BRANCHES.values(), ids=BRANCHES)
def test_the_program_has_every_option(values: dict[str, Any]) -> None:
    (pod,) = pods(rendered(CHART, values)).values()
    for container in [*pod["initContainers"], *pod["containers"]]:
        parser().parse_args(container["args"])


def test_the_pod_is_not_privileged_and_asks_for_no_capability_that_it_does_not_need() -> None:
    (least,) = pods(rendered(CHART, LEAST)).values()
    security = least["containers"][0]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"]}
    assert security["readOnlyRootFilesystem"] is True
    assert least["automountServiceAccountToken"] is False
    assert "hostNetwork" not in least
    (full,) = pods(rendered(CHART, EVERYTHING)).values()
    added = full["containers"][0]["securityContext"]["capabilities"]["add"]
    assert added[-2:] == ["SYS_RESOURCE", "SYS_ADMIN"]
    scc = named(rendered(CHART, EVERYTHING), "SecurityContextConstraints", "dw")
    assert scc["allowedCapabilities"] == added
    assert scc["users"] == ["system:serviceaccount:driftwatch:dw"]


def test_metrics_are_reachable_by_the_scraper_alone() -> None:
    def of(values: dict[str, Any]) -> tuple[Any, list[str]]:
        found = rendered(CHART, values)
        (pod,) = pods(found).values()
        return named(found, "NetworkPolicy", "dw")["spec"]["ingress"], pod["containers"][0]["args"]

    closed, args = of(LEAST)
    assert (closed, "--metrics-address=0.0.0.0" in args) == ([], False)
    nobody, args = of(BRANCHES["metrics for nobody"])
    assert (nobody, "--metrics-address=0.0.0.0" in args) == ([], True)
    (rule,), _ = of(EVERYTHING)
    assert rule == {"ports": [{"port": "metrics"}], "from": EVERYTHING["metrics"]["scrapedBy"]}


def test_a_private_authority_and_a_proxy_reach_enrolment_too() -> None:
    (pod,) = pods(rendered(CHART, EVERYTHING)).values()
    for container in [*pod["initContainers"], *pod["containers"]]:
        env = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert env["SSL_CERT_FILE"] == "/etc/driftwatch/ca/ca.crt"
        assert env["HTTPS_PROXY"] == "http://proxy.drift.example:3128"
        assert container["envFrom"] == EVERYTHING["envFrom"]
        assert {"name": "ca", "mountPath": "/etc/driftwatch/ca", "readOnly": True} in container["volumeMounts"]


def test_a_token_stands_in_a_secret_only_if_it_was_given_as_a_value() -> None:
    assert [each for each in rendered(CHART, LEAST) if each["kind"] == "Secret"] == []
    (secret,) = [each for each in rendered(CHART, EVERYTHING) if each["kind"] == "Secret"]
    assert secret["stringData"] == {"token": "dwe_not-a-real-token"}
    for pod in pods(rendered(CHART, EVERYTHING)).values():
        assert "dwe_not-a-real-token" not in str(pod)


def test_the_chart_has_the_project_s_version() -> None:
    (line,) = re.findall(r'^appVersion: "(.*)"$', (CHARTS / CHART / "Chart.yaml").read_text(), re.MULTILINE)
    assert line == __version__


def test_the_api_server_is_asked_only_on_request_and_with_get_on_pods_and_replica_sets_alone() -> None:
    plain, asking = rendered(CHART, LEAST), rendered(CHART, {**LEAST, "clusterApi": True})
    assert not [each for each in plain if "Role" in each["kind"]]
    (role,) = [each for each in asking if each["kind"] == "ClusterRole"]
    assert [(rule["resources"], rule["verbs"]) for rule in role["rules"]] == [
        (["pods"], ["get"]),
        (["replicasets"], ["get"]),
    ]
    (binding,) = [each for each in asking if each["kind"] == "ClusterRoleBinding"]
    (account,) = [each for each in asking if each["kind"] == "ServiceAccount"]
    assert binding["subjects"][0]["name"] == account["metadata"]["name"]
    for manifests, is_on in ((plain, False), (asking, True)):
        (pod,) = pods(manifests).values()
        assert pod["automountServiceAccountToken"] is is_on
        assert ("--cluster-api" in pod["containers"][0]["args"]) is is_on
