"""The starter pack: what it ignores, what still alerts, and how it is added to a draft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.policy.domain import edits
from drift.policy.domain.starter_rules import starter_rules
from drift.policy.domain.trusted_writers import let_through, trusts_writers
from drift.policy.queries.drafts import draft_state
from sensor.policy import check, compile_policy
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.services, pytest.mark.django_db]
As = Callable[[Any], Client]
PAGE = "/settings/policy/starter-pack/"

CI_JOB = {
    "container_name": "build",
    "pod_name": "runner-t1a2b3-project-7-concurrent-0-abcde",
    "session": "workload",
    "written_in_session": "workload",
    "writer_origin": "image",
}
UPDATER = {name: value for name, value in CI_JOB.items() if name not in {"container_name", "pod_name"}}
NOISE: dict[str, dict[str, str]] = {
    "buildkit": {"image_name": "docker.io/moby/buildkit:v0.17.2", "process_path": "/usr/bin/apt-get"},
    "kaniko": {"image_name": "gcr.io/kaniko-project/executor:v1.23.2-debug", "process_path": "/bin/sh"},
    "gitlab-runner": {
        "container_name": "build",
        "pod_name": "runner-t1a2b3-project-7-concurrent-0-abcde",
        "process_path": "/builds/shop/cart/bin/tests",
    },
    "actions-runner": {
        "image_name": "ghcr.io/actions/actions-runner:2.321.0",
        "process_path": "/home/runner/_work/_tool/node/20.18.0/x64/bin/node",
    },
    "ci-packages": CI_JOB | {"written_by": "/sbin/apk", "process_path": "/usr/bin/cmake"},
    "ci-apt": CI_JOB
    | {
        "written_by": "/usr/bin/dpkg",
        "written_by_parent": "apt-get",
        "process_path": "/usr/bin/cmake",
    },
    "ci-pip": CI_JOB
    | {
        "written_by": "/usr/local/bin/python3.12",
        "process_path": "/usr/local/lib/python3.12/site-packages/ruff/ruff",
    },
    "ci-cargo": CI_JOB
    | {"written_by": "/usr/bin/x86_64-linux-gnu-ld.bfd", "process_path": "/work/target/debug/deps/cart-1a2b"},
    "ci-terraform": UPDATER
    | {
        "image_name": "docker.io/hashicorp/terraform:1.10",
        "written_by": "/bin/terraform",
        "process_path": "/work/.terraform/providers/registry.terraform.io/hashicorp/aws/5.7/linux_amd64/aws_v5",
    },
    "grafana-plugins": UPDATER
    | {
        "image_name": "docker.io/grafana/grafana:11.4.0",
        "written_by": "/usr/share/grafana/bin/grafana",
        "process_path": "/var/lib/grafana/plugins/redis-datasource/gpx_redis_linux_amd64",
    },
    "actions-runner-update": UPDATER
    | {
        "image_name": "ghcr.io/actions/actions-runner:2.321.0",
        "written_by": "/home/runner/bin/Runner.Listener",
        "process_path": "/home/runner/bin.2.322.0/Runner.Worker",
    },
    "ci-node": CI_JOB
    | {"written_by": "/usr/local/bin/node", "process_path": "/work/cart/node_modules/esbuild/bin/esbuild"},
    "ci-go": CI_JOB
    | {"written_by": "/usr/local/go/pkg/tool/linux_amd64/link", "process_path": "/tmp/go-build1/b001/cart.test"},
    "debug-shells": {
        "container_name": "debugger-x7k2p",
        "image_name": "docker.io/nicolaka/netshoot:v0.13",
        "process_path": "/usr/bin/tcpdump",
    },
    "package-scripts": UPDATER
    | {
        "written_by": "/sbin/apk",
        "parent_process": "apk",
        "process_path": "/lib/apk/exec/busybox-1.37.0-r12.post-install",
    },
    "apt-scripts": UPDATER
    | {
        "written_by": "/usr/bin/tar",
        "written_by_parent": "dpkg-deb/dpkg/apt-get",
        "parent_process": "dpkg",
        "process_path": "/var/lib/dpkg/info/libc-bin.postinst",
    },
    "pip-builds": {"parent_process": "pip", "process_path": "/tmp/pip-build-env-x1/overlay/bin/cmake"},
    "nvidia-hook": {"drift_kind": "foreign_mount", "process_path": "/usr/bin/nvidia-smi"},
    "gpu-operator": {
        "namespace": "gpu-operator",
        "image_name": "nvcr.io/nvidia/driver:550.90.07-ubuntu22.04",
        "process_path": "/usr/src/nvidia-550.90.07/nvidia-installer",
    },
    "datadog": {
        "image_name": "gcr.io/datadoghq/agent:7.59.0",
        "process_path": "/opt/datadog-agent/embedded/bin/python3.12",
    },
    "new-relic": {
        "image_name": "docker.io/newrelic/infrastructure-bundle:3.2.57",
        "process_path": "/var/db/newrelic-infra/newrelic-integrations/bin/nri-redis",
    },
    "dynatrace": {
        "image_name": "public.ecr.aws/dynatrace/dynatrace-oneagent:1.303.0",
        "process_path": "/opt/dynatrace/oneagent/agent/lib64/oneagentos",
    },
}
"""An event that each rule is for."""


def pack(*keys: str) -> dict[str, Any]:
    """A document that alerts on all that these rules, enabled, do not let pass."""
    chosen = [{**each.rule, "enabled": True} for each in starter_rules() if each.key in keys or not keys]
    return edits.add_rules(chosen)(document(default={"action": "alert"}))


def action(key: str, event: dict[str, str]) -> str:
    name = event["process_path"].rpartition("/")[2]
    return compile_policy(pack(key)).decide({"provider": "aws", "account": "1", "process_name": name, **event}).action


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        ("dpkg-deb/dpkg/apt-get", "ignore"),
        ("dpkg-deb/dpkg", "alert"),
        ("dpkg-deb", "alert"),
        ("sh", "alert"),
        ("", "alert"),
    ],
)
def test_what_tar_wrote_is_ignored_only_where_apt_had_it_do_so(above: str, expected: str) -> None:
    script = {"written_by": "/usr/bin/tar", "process_path": "/var/lib/dpkg/info/cmake.postinst"}
    assert action("ci-apt", CI_JOB | script | ({"written_by_parent": above} if above else {})) == expected


def test_a_package_that_dpkg_or_rpm_installs_by_itself_in_a_ci_job_alerts() -> None:
    """Nothing checks where it came from, and an attacker's has the image's own dpkg as its writer."""
    for manager in ("dpkg", "rpm"):
        installed = CI_JOB | {"written_by": f"/usr/bin/{manager}", "process_path": "/usr/bin/netstat-ng"}
        for above in ({}, {"written_by_parent": "dash"}, {"written_by_parent": "runner"}):
            for key in ("ci-packages", "ci-apt"):
                assert action(key, installed | above) == "alert", (key, manager, above)


def test_every_rule_is_valid_disabled_and_has_its_reason() -> None:
    assert check(pack()) == []
    assert len({each.key for each in starter_rules()}) == len(starter_rules()) == len(pack()["rules"])
    for each in starter_rules():
        assert (each.rule["enabled"], each.rule["unlisted"]) == (False, "next_rule")
        assert each.rule["action"] == ("alert" if each.key == "installed-by-hand" else "ignore")
        assert len(each.rule["note"]) > 60
        assert each.rule["allow_list"] or each.rule["process_scope"], "never a whole container"


def test_no_rule_trusts_a_file_for_its_name_alone() -> None:
    entries = [entry for each in starter_rules() for entry in each.rule["allow_list"]]
    assert all(entry.startswith("/") for entry in entries)


def test_no_rule_ignores_what_a_writer_of_the_image_wrote_by_that_alone() -> None:
    """Its tar and its curl are the image's as well, and so is a package manager that an intruder starts."""
    for each in starter_rules():
        looks_at = {condition["property"] for condition in each.rule["process_scope"]}
        if each.rule["action"] == "ignore" and "writer_origin" in looks_at:
            assert looks_at >= {"written_by", "session", "written_in_session", "process_path"}, each.key


def test_the_panel_names_for_each_such_rule_only_what_its_tool_is_given() -> None:
    for each in starter_rules():
        said = let_through(each.rule)
        assert len(said) == trusts_writers(each.rule), (each.key, said)
        assert all(line.startswith("What the writer is made to write passes") for line in said)


def test_what_a_person_installs_by_hand_alerts_where_all_else_is_ignored() -> None:
    by_hand = next(each.rule for each in starter_rules() if each.key == "installed-by-hand")
    policy = compile_policy(edits.add_rules([{**by_hand, "enabled": True}])(document(default={"action": "ignore"})))
    event = {"provider": "aws", "account": "1", "written_in_session": "exec", "written_by": "/usr/bin/dpkg"}
    for runs in ("exec", "workload", None):
        assert policy.decide({**event, "session": runs}).action == "alert"
        assert policy.decide({**event, "session": runs, "written_in_session": "workload"}).action == "ignore"
        assert policy.decide({**event, "session": runs, "written_in_session": None}).action == "ignore"


@pytest.mark.parametrize("key", [each.key for each in starter_rules() if each.rule["action"] == "ignore"])
def test_a_rule_ignores_its_tools_and_nothing_else(key: str) -> None:
    noise = NOISE[key]
    assert action(key, noise) == "ignore"
    assert action(key, {**noise, "process_path": "/tmp/xmrig"}) == "alert"
    for name in noise.keys() - {"process_path"}:
        other = "evil.example/" + noise[name].partition("/")[2] if name == "image_name" else f"x{noise[name]}"
        assert action(key, {**noise, name: other}) == "alert"
        assert action(key, {each: value for each, value in noise.items() if each != name}) == "alert"


def test_a_script_that_a_program_named_like_a_package_manager_wrote_and_runs_alerts() -> None:
    noise = NOISE["package-scripts"] | {"process_path": "/lib/apk/exec/x.post-install"}
    assert action("package-scripts", noise) == "ignore"
    for wrote in (
        {"written_by": "/tmp/apk", "writer_origin": "drift"},
        {"written_by": "/sbin/apk", "writer_origin": "drift"},
        {"written_by": "/bin/cp"},
        {"session": "exec"},
    ):
        assert action("package-scripts", noise | wrote) == "alert", wrote


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        ("dpkg-deb/dpkg/apt-get", "ignore"),
        ("dpkg-deb/dpkg/apt", "ignore"),
        ("dpkg-deb/dpkg/apt-get/entrypoint", "ignore"),
        ("dpkg-deb/dpkg", "alert"),
        ("dpkg-deb/dpkg/dash", "alert"),
        ("dpkg/apt-get", "alert"),
        ("apt-get", "alert"),
        ("dpkg-deb/apt-get", "alert"),
        ("dpkg", "alert"),
    ],
)
def test_a_packages_script_is_ignored_only_where_dpkg_and_apt_had_tar_unpack_it(above: str, expected: str) -> None:
    """Not where somebody runs dpkg -i, nor where a setting of apt's makes it start tar in place of something else."""
    assert action("apt-scripts", NOISE["apt-scripts"] | {"written_by_parent": above}) == expected


def test_scripts_of_what_dpkg_or_rpm_installs_by_itself_alert_at_start_up() -> None:
    for wrote in (
        {"written_by": "/usr/bin/rpm", "parent_process": "rpm", "process_path": "/var/tmp/rpm-tmp.Xy1"},
        {"written_by": "/usr/bin/dpkg", "parent_process": "dpkg", "process_path": "/var/lib/dpkg/info/x.postinst"},
        {"written_by": "/usr/bin/tar", "parent_process": "dpkg", "process_path": "/var/lib/dpkg/tmp.ci/preinst"},
    ):
        for key in ("package-scripts", "apt-scripts"):
            assert action(key, UPDATER | wrote) == "alert"


def test_chosen_rules_are_added_to_the_draft_disabled_above_the_default(
    client_of: As, operator: Any, queued: list[Any]
) -> None:
    client = client_of(operator)
    page = client.get(PAGE).content.decode()
    assert "BuildKit build steps" in page
    answer = client.post(PAGE, {"revision": "1.0", "rule": ["kaniko", "datadog", "no-such-rule"]}, follow=True)
    assert "2 rules of the starter pack added, disabled" in answer.content.decode()
    rules = draft_state(operator).document["rules"]
    assert [rule["name"] for rule in rules] == [
        "Alert on Kube-System namespace",
        "Kaniko build steps",
        "Datadog agent",
    ]
    assert not any(rule["enabled"] for rule in rules[1:])


def test_rules_that_are_in_the_draft_are_not_added_again(client_of: As, operator: Any, queued: list[Any]) -> None:
    client = client_of(operator)
    client.post(PAGE, {"revision": "1.0", "rule": "kaniko"})
    assert "In your draft" in client.get(PAGE).content.decode()
    both = {"revision": str(draft_state(operator).draft_revision), "rule": ["kaniko", "buildkit"]}
    shown = client.post(PAGE, both, follow=True).content.decode()
    assert "1 rule of the starter pack added, disabled; the others are already in your draft" in shown
    names = [rule["name"] for rule in draft_state(operator).document["rules"]]
    assert names[1:] == ["Kaniko build steps", "BuildKit build steps"]


def test_nothing_chosen_and_a_stale_draft_change_nothing(client_of: As, operator: Any, queued: list[Any]) -> None:
    client = client_of(operator)
    nothing = client.post(PAGE, {"revision": "1.0"}, headers={"HX-Request": "true"})
    assert (nothing.status_code, "Choose at least one rule" in nothing.content.decode()) == (422, True)
    client.post(PAGE, {"revision": "1.0", "rule": "kaniko"})
    stale = client.post(PAGE, {"revision": "1.0", "rule": "datadog"}, headers={"HX-Request": "true"})
    assert stale.status_code == 409
    assert len(draft_state(operator).document["rules"]) == 2
