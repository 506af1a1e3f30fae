"""The portal's chart: every branch of its values renders to what Kubernetes accepts, and runs what the image has."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest

from portal.config import SETTINGS
from portal.program.options import parser
from sensor import __version__
from tests.unit.charts import CHARTS, named, pods, rendered, run, untried

CHART = "driftwatch-portal"
KUBERNETES = ("1.29", "1.32", "1.35", "1.37")
LEAST: dict[str, Any] = {"publicUrl": "https://drift.example"}
SCALED = {"enabled": True, "minReplicas": 2, "maxReplicas": 5, "targetCPU": 60}
EVERYTHING: dict[str, Any] = {
    **LEAST,
    "streamUrl": "https://push.drift.example/stream",
    "image": {"repository": "mirror.example/dw", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "mirror"}],
    "existingSecret": "ours",
    "firstOwner": {"email": "me@drift.example"},
    "settings": {"EVENT_RETENTION_DAYS": 60, "NOTIFY_ALLOW_PRIVATE": True, "EMAIL_HOST": "mail.drift.example"},
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.drift.example:3128"}],
    "envFrom": [{"secretRef": {"name": "mail"}}],
    "certificateAuthority": {"configMap": "ca", "key": "roots.pem"},
    "web": {"processes": 2, "autoscaling": SCALED},
    "gateway": {"autoscaling": SCALED},
    "worker": {"concurrency": 4, "autoscaling": SCALED},
    "service": {"annotations": {"a": "b"}},
    "ingress": {"enabled": True, "className": "nginx", "annotations": {"c": "d"}, "tlsSecret": "tls"},
    "metrics": {"podMonitor": True},
    "networkPolicy": {"ingressFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
    "podAnnotations": {"e": "f"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
}
RESOURCES = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
SIZES: dict[str, Any] = {
    **LEAST,
    "image": {"tag": "0.3.0", "pullPolicy": "Always"},
    **{
        part: {
            "replicas": 3,
            "resources": RESOURCES,
            "autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 9, "targetCPU": 50},
        }
        for part in ("web", "gateway", "worker")
    },
    "beat": {"resources": RESOURCES},
    "migrate": {"resources": RESOURCES, "activeDeadlineSeconds": 600},
}
BRANCHES = {
    "least": LEAST,
    "everything": EVERYTHING,
    "sizes": SIZES,
    "without policies and budgets": {
        **LEAST,
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
    },
    "an ingress with a port and its own proxies": {
        "publicUrl": "https://drift.example:8443",
        "ingress": {"enabled": True},
        "settings": {"TRUSTED_PROXIES": 2, "TRUST_FORWARDED_PROTO": False},
    },
}


def test_every_value_is_tried() -> None:
    assert untried(CHART, BRANCHES.values()) == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", BRANCHES.values(), ids=BRANCHES)
def test_every_branch_is_valid_for_each_kubernetes(values: dict[str, Any], version: str) -> None:
    found = rendered(CHART, values, version)
    for manifest in found:
        if manifest["kind"] == "PodMonitor":  # a custom resource, whose schema is not Kubernetes's
            continue
        kubernetes_validate.validate(manifest, version, strict=True)
    assert len({(each["kind"], each["metadata"]["name"]) for each in found}) == len(found)


@pytest.mark.parametrize("values", BRANCHES.values(), ids=BRANCHES)
def test_helm_finds_nothing_to_complain_of(values: dict[str, Any]) -> None:
    done = run("lint", "--strict", str(CHARTS / CHART), values=values)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("wrong", "named_in_error"),
    [
        ({}, "publicUrl"),
        ({"publicUrl": "drift.example"}, "publicUrl"),
        ({"publicUrl": "https://drift.example/"}, "publicUrl"),
        ({**LEAST, "settings": {"SECRET_KEY": "x"}}, "SECRET_KEY"),
        ({**LEAST, "settings": {"lower": "x"}}, "lower"),
        ({**LEAST, "web": {"replica": 3}}, "replica"),
        ({**LEAST, "beat": {"replicas": 2}}, "replicas"),
        ({**LEAST, "web": {"replicas": 0}}, "replicas"),
        ({**LEAST, "image": {"digest": "latest"}}, "digest"),
        ({**LEAST, "existingSecret": ""}, "existingSecret"),
        ({**LEAST, "ingres": {"enabled": True}}, "ingres"),
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong: dict[str, Any], named_in_error: str) -> None:
    done = run("template", "dw", str(CHARTS / CHART), values=wrong)
    assert done.returncode != 0
    assert named_in_error in done.stderr


@pytest.mark.parametrize("values", BRANCHES.values(), ids=BRANCHES)
def test_every_pod_runs_a_command_of_the_program_and_knows_only_settings_that_exist(values: dict[str, Any]) -> None:
    given = {entry["name"] for entry in values.get("env", [])} | {"SSL_CERT_FILE"}
    for name, pod in pods(rendered(CHART, values)).items():
        (container,) = pod["containers"]
        command = parser().parse_args(container["args"]).command
        assert name == f"dw-{'migrate' if command == 'init' else command}"
        assert {entry["name"] for entry in container["env"]} - given <= set(SETTINGS), name


@pytest.mark.parametrize("values", BRANCHES.values(), ids=BRANCHES)
def test_every_pod_is_restricted(values: dict[str, Any]) -> None:
    for name, pod in pods(rendered(CHART, values)).items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("values", BRANCHES.values(), ids=BRANCHES)
def test_secrets_come_from_the_secret_alone_and_the_owner_of_the_tables_is_known_to_migrations_alone(
    values: dict[str, Any],
) -> None:
    secrets = {name for name, setting in SETTINGS.items() if setting.secret}
    for name, pod in pods(rendered(CHART, values)).items():
        env = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
        for each in secrets & set(env):
            assert "secretKeyRef" in env[each]["valueFrom"], (name, each)
        assert ("MIGRATION_DATABASE_URL" in env) == (name == "dw-migrate")
        assert ("DATABASE_URL" in env) == (name != "dw-gateway")


def test_migrations_run_before_the_first_pods_and_before_those_of_a_new_version() -> None:
    job = named(rendered(CHART, LEAST), "Job", "dw-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    # A hook runs before the release's own objects exist.
    references = re.findall(r"'(?:configMap|secret)\w*': \{'name': '([^']*)'", str(job))
    assert set(references) <= {"driftwatch-portal"}
    assert container["args"] == ["migrate"]


def test_the_first_owner_s_link_is_made_by_the_same_job() -> None:
    job = named(rendered(CHART, EVERYTHING), "Job", "dw-migrate")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["init", "me@drift.example"]


def test_beat_is_one_and_never_two_while_it_is_replaced() -> None:
    beat = named(rendered(CHART, EVERYTHING), "Deployment", "dw-beat")["spec"]
    assert (beat["replicas"], beat["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("name", ["web", "gateway"])
def test_a_server_leaves_only_when_its_replacement_is_ready_and_requests_have_ceased(name: str) -> None:
    spec = named(rendered(CHART, LEAST), "Deployment", f"dw-{name}")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert container["lifecycle"]["preStop"]
    assert pod["terminationGracePeriodSeconds"] >= 15
    probes = {container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "startupProbe")}
    assert probes == ({"/readyz?role=web"} if name == "web" else {"/healthz"})
    # A slow database must not have every web pod restarted.
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_stream_goes_to_the_gateway_and_all_else_to_web() -> None:
    ingress = named(rendered(CHART, EVERYTHING), "Ingress", "dw")["spec"]
    (rule,) = ingress["rules"]
    routes = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert (rule["host"], routes) == ("drift.example", {"/stream": "dw-gateway", "/": "dw-web"})


def test_behind_the_chart_s_ingress_its_one_proxy_is_trusted() -> None:
    def env(values: dict[str, Any]) -> dict[str, str]:
        (web,) = pods(rendered(CHART, values))["dw-web"]["containers"]
        return {entry["name"]: entry["value"] for entry in web["env"] if "value" in entry}

    assert {"TRUSTED_PROXIES", "TRUST_FORWARDED_PROTO"}.isdisjoint(env(LEAST))
    assert env(EVERYTHING)["TRUSTED_PROXIES"] == "1"
    own = env(BRANCHES["an ingress with a port and its own proxies"])
    assert (own["TRUSTED_PROXIES"], own["TRUST_FORWARDED_PROTO"]) == ("2", "false")


@pytest.mark.parametrize("name", ["worker", "beat", "migrate"])
def test_nobody_may_call_what_serves_nothing(name: str) -> None:
    policy = named(rendered(CHART, LEAST), "NetworkPolicy", f"dw-{name}")["spec"]
    assert (policy["policyTypes"], policy["ingress"]) == (["Ingress"], [])


def test_a_long_release_name_still_gives_valid_names() -> None:
    for manifest in rendered(CHART, EVERYTHING, release="d" * 53):
        assert len(manifest["metadata"]["name"]) <= 63


def test_the_chart_has_the_project_s_version() -> None:
    (line,) = re.findall(r'^appVersion: "(.*)"$', (CHARTS / CHART / "Chart.yaml").read_text(), re.MULTILINE)
    assert line == __version__


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_a_process_that_serves_nothing_is_restarted_where_its_loop_hangs(name: str) -> None:
    (container,) = pods(rendered(CHART, LEAST))[f"dw-{name}"]["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["ALIVE_FILE"] in container["livenessProbe"]["exec"]["command"][-1]
    assert "readinessProbe" not in container


def test_only_web_knows_the_token_for_metrics_and_each_web_pod_is_scraped_with_it() -> None:
    for name, pod in pods(rendered(CHART, EVERYTHING)).items():
        (container,) = pod["containers"]
        names = {entry["name"]: entry for entry in container["env"]}
        assert ("METRICS_TOKEN" in names) is (name == "dw-web")
    token = named(rendered(CHART, EVERYTHING), "PodMonitor", "dw-web")["spec"]["podMetricsEndpoints"][0][
        "authorization"
    ]
    assert token["credentials"] == {"name": "ours", "key": "metrics-token"}
