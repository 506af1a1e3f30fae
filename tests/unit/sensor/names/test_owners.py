"""Owners of pods and containers: one code for sensor and portal, tried with the names that each controller makes."""

from __future__ import annotations

import random
import uuid

import pytest

from drift.alerts.domain.fingerprints import workload_facts
from sensor import wire
from sensor.names.controllers import CONTROLLERS
from sensor.names.docker_names import is_docker_name
from sensor.names.generated_names import SAFE, scheduled_name, without_generated_ending
from sensor.names.owners import container_owner, pod_owner, workload_owner

LONG = "payment-reconciliation-and-settlement-of-the-northern-area"
"""58 characters: all that Kubernetes leaves before the five random ones."""
HASH = "7d9f8b6c5d"
TEMPLATE, ROLLOUT = {"pod-template-hash": HASH}, {"rollouts-pod-template-hash": HASH}
REVISION = {"controller-revision-hash": HASH}
STATEFUL = {"statefulset.kubernetes.io/pod-name": "db-0", "controller-revision-hash": "x"}
CLONE = {"apps.kruise.io/cloneset-instance-id": "j5ht6", **TEMPLATE, "controller-revision-hash": "web-d4d4fb5bd"}
KNATIVE = {"serving.knative.dev/service": "hello", "serving.knative.dev/revision": "hello-00007", **TEMPLATE}
STRIMZI = {"strimzi.io/controller": "strimzipodset", "strimzi.io/controller-name": "shop-kafka", **STATEFUL}
SCALED = {"scaledjob.keda.sh/name": "mailer", "job-name": "mailer-n68tp"}
GITLAB = {"pod": "runner-xdnsadt3-project-2806-concurrent-0"}
FLINK = {"type": "flink-native-kubernetes", "app": "clicks", "component": "taskmanager"}
VIRTUAL = {"vcluster.loft.sh/managed-by": "vc", "vcluster.loft.sh/namespace": "shop"}
NODE = "ip-10-0-3-7.eu.compute.internal"


@pytest.mark.parametrize(
    ("pod", "labels", "owner"),
    [
        (f"cart-{HASH}-x2kfz", TEMPLATE, ("Deployment", "cart")),
        (f"a-{HASH}-b-{HASH}-x2kfz", TEMPLATE, ("Deployment", f"a-{HASH}-b")),
        ("cart", TEMPLATE, ("Deployment", "cart")),
        (f"cart-{HASH}-x2kfz", {**TEMPLATE, "job-name": "j"}, ("Deployment", "cart")),
        (f"cart-{HASH}-x2kfz", ROLLOUT, ("Rollout", "cart")),
        ("db-0", STATEFUL, ("StatefulSet", "db")),
        ("agent-x2kfz", REVISION, ("DaemonSet", "agent")),
        ("agent", REVISION, ("DaemonSet", "agent")),
        ("nightly-29120340-x2kfz", {"job-name": "nightly-29120340"}, ("CronJob", "nightly")),
        ("nightly-1577836800-x2kfz", {"job-name": "nightly-1577836800"}, ("CronJob", "nightly")),
        ("migrate-20240131-x2kfz", {"job-name": "migrate-20240131"}, ("Job", "migrate-20240131")),
        ("migrate-123456789-x2kfz", {"job-name": "migrate-123456789"}, ("Job", "migrate-123456789")),
        ("migrate-v2-x2kfz", {"batch.kubernetes.io/job-name": "migrate-v2"}, ("Job", "migrate-v2")),
        ("migrate-b4ptz-x2kfz", {"job-name": "migrate-b4ptz"}, ("Job", "migrate")),
        ("move-pgsql-x2kfz", {"job-name": "move-pgsql"}, ("Job", "move-pgsql")),
        ("web-j5ht6", CLONE, ("CloneSet", "web")),
        (f"hello-00007-deployment-{HASH}-x2kfz", KNATIVE, ("KnativeService", "hello")),
        ("shop-kafka-0", STRIMZI, ("StrimziPodSet", "shop-kafka")),
        ("mailer-n68tp-x2p64", SCALED, ("ScaledJob", "mailer")),
        ("llm-0-1", {"leaderworkerset.sigs.k8s.io/name": "llm", **STATEFUL}, ("LeaderWorkerSet", "llm")),
        ("frontend-3-x2kfz", {"deployment": "frontend-3", "deploymentconfig": "frontend"},
         ("DeploymentConfig", "frontend")),
        ("build-x2kfz-unit-pod", {"tekton.dev/pipeline": "build", "tekton.dev/pipelineRun": "build-x2kfz",
         "tekton.dev/pipelineTask": "unit"}, ("Pipeline", "build/unit")),
        ("lint-b4ptz-pod", {"tekton.dev/taskRun": "lint-b4ptz"}, ("Task", "lint")),
        ("etl-x2kfz-step-1234567890", {"workflows.argoproj.io/workflow": "etl-x2kfz"}, ("Workflow", "etl")),
        ("etl-1706659200-step-12345", {"workflows.argoproj.io/workflow": "etl-1706659200"}, ("Workflow", "etl")),
        ("maven-3k8sf", {"jenkins": "slave", "jenkins/label": "maven"}, ("JenkinsAgent", "maven")),
        ("shop-main-42-3k8sf-8f2xr-g1j5t", {"jenkins/label": "shop_main_42-3k8sf"}, ("JenkinsAgent", "shop-main")),
        ("arc-x2kfz-runner-b4ptz", {"actions.github.com/scale-set-name": "arc"}, ("AutoscalingRunnerSet", "arc")),
        ("arc-x2kfz-runner-b4ptz-workflow", {"runner-pod": "arc-x2kfz-runner-b4ptz"}, ("AutoscalingRunnerSet", "arc")),
        ("ci-x2kfz-b4ptz", {"runner-deployment-name": "ci", **TEMPLATE}, ("RunnerDeployment", "ci")),
        ("runner-xdnsadt3-project-2806-concurrent-0rg4lh", GITLAB, ("GitLabProject", "2806")),
        ("runner-x-project-2806-concurrent-0-rg4lh", {**GITLAB, "project.runner.gitlab.com/name": "shop",
         "job.runner.gitlab.com/name": "test"}, ("GitLabProject", "shop/test")),
        ("pi-0123456789abcdef-exec-3", {"spark-role": "executor", "spark-app-name": "pi"}, ("SparkApplication", "pi")),
        ("pi-0123456789abcdef-driver", {"spark-role": "driver"}, ("SparkApplication", "pi")),
        ("clicks-taskmanager-1-4", FLINK, ("FlinkDeployment", "clicks")),
        ("load-rows-b4ptz", {"dag_id": "load", "task_id": "rows", "kubernetes_executor": "True"},
         ("AirflowTask", "load/rows")),
        ("bert-worker-3", {"training.kubeflow.org/job-name": "bert", "training.kubeflow.org/replica-type": "worker"},
         ("TrainingJob", "bert/worker")),
        ("ray-x2kfz-worker-b4ptz", {"ray.io/cluster": "ray-x2kfz", "ray.io/node-type": "worker"},
         ("RayCluster", "ray/worker")),
        ("sim-mpi-0", {"volcano.sh/job-name": "sim", "volcano.sh/task-spec": "mpi"}, ("VolcanoJob", "sim/mpi")),
        ("pg-2", {"cnpg.io/cluster": "pg"}, ("PostgresCluster", "pg")),
        (f"function-auto-ready-201429931a4f-{HASH}-x2kfz", {"pkg.crossplane.io/function": "function-auto-ready",
         **TEMPLATE}, ("Function", "function-auto-ready")),
        ("apply-agent-plan-on-ip-10-0-3-7-with-0123456789abcdef01-x2kfz", {"upgrade.cattle.io/plan": "agent-plan",
         "upgrade.cattle.io/node": NODE, "job-name": "apply-agent-plan-on-ip-10-0-3-7-with-0123456789abcdef01"},
         ("Plan", "agent-plan")),
        ("shop-v002-2fzq2", {"app.kubernetes.io/managed-by": "spinnaker", "moniker.spinnaker.io/sequence": "2"},
         ("ReplicaSet", "shop")),
        (f"shop-v2-{HASH}-x2kfz", {"moniker.spinnaker.io/sequence": "2", **TEMPLATE}, ("Deployment", "shop-v2")),
        ("load-1-x2kfz", {"app": "k6", "k6_cr": "load", "job-name": "load-1"}, ("TestRun", "load")),
        (
            "shop-build-17-build-pod",
            {"kpack.io/build": "shop-build-17", "image.kpack.io/image": "shop", "image.kpack.io/buildNumber": "17"},
            ("KpackImage", "shop"),
        ),
        (
            "company-team-etl-extract-6xk2lqz4yq1b",
            {"kestra.io/flow-id": "etl", "kestra.io/task-id": "extract", "kestra.io/execution-id": "6xk2lqz4yq1b"},
            ("KestraFlow", "etl/extract"),
        ),
        ("nf-0123456789abcdef0123456789abcdef-1c9f5", {"nextflow.io/app": "nextflow",
         "nextflow.io/processName": "ALIGN"}, ("NextflowProcess", "ALIGN")),
        ("drone-q3v8m0xk1zj2h1p9v7c4", {"io.drone": "true", "io.drone.repo.name": "shop",
         "io.drone.stage.name": "test"}, ("DronePipeline", "shop/test")),
        ("wp-01he8bebctabr3kgk0qj36d2me", {"woodpecker-ci.org/repo-name": "shop", "woodpecker-ci.org/step": "test"},
         ("WoodpeckerPipeline", "shop/test")),
        ("wp-01he8bebctabr3kgk0qj36d2me-0", {"step": "test"}, ("Pod", "wp")),
        ("node-debugger-node-2-9j4kd", {}, ("Pod", "node-debugger")),
        (f"node-debugger-{HASH}-x2kfz", TEMPLATE, ("Deployment", "node-debugger")),
        ("nsenter-a0x3zq", {}, ("Pod", "nsenter")),
        ("kube-apiserver-cp-1", {"tier": "control-plane", "component": "kube-apiserver"}, ("Pod", "kube-apiserver")),
        (f"proxy-{NODE}", {}, ("Pod", "proxy")),
        (f"installer-7-{NODE}", {"app": "installer"}, ("Pod", "installer")),
        (f"cart-{HASH}-x2kfz-x-shop-x-vc", {**VIRTUAL, **TEMPLATE}, ("Deployment", "cart-x-shop-x-vc")),
        (f"cart-{HASH}-x2kfz-x-shop-x-vc", VIRTUAL, ("Pod", "cart-x-shop-x-vc")),
        ("db-0-x-shop-x-vc", {**VIRTUAL, **STATEFUL}, ("StatefulSet", "db-x-shop-x-vc")),
        ("nightly-29120340-x2kfz-x-shop-x-vc", {**VIRTUAL, "job-name": "nightly-29120340"},
         ("CronJob", "nightly-x-shop-x-vc")),
        ("cart-x-shop-x-vc", {}, ("Pod", "cart-x-shop-x-vc")),
        ("65b8f0c2a1b2c3d4e5f60718-x2kfz-x-a-x-vc", {**VIRTUAL, "vcluster.loft.sh/namespace": "a",
         "job-name": "65b8f0c2a1b2c3d4e5f60718"}, ("Job", "")),
        ("frontend-3-deploy", {"openshift.io/deployer-pod-for.name": "frontend-3"}, ("DeploymentConfig", "frontend")),
        ("frontend-4-hook-pre", {"openshift.io/deployer-pod-for.name": "frontend-4"}, ("DeploymentConfig", "frontend")),
        (f"installer-7-retry-2-{NODE}", {"app": "installer"}, ("Pod", "installer")),
        ("ip-10-0-3-7eucomputeinternal-debug", {}, ("Pod", "node-debugger")),
        ("ip-10-0-3-7eucomputeinternal-debug-x2kfz", {}, ("Pod", "node-debugger")),
        ("k9s-shell-1234567", {"app": "k9s-shell"}, ("Pod", "k9s-shell")),
        (f"kube-proxy-{NODE}", {"tier": "node", "component": "kube-proxy"}, ("Pod", "kube-proxy")),
        (f"api-{HASH}-x2kfz", {"tier": "node", "component": "api", **TEMPLATE}, ("Deployment", "api")),
        (f"api-canary-{HASH}-x2kfz", {"tier": "node", "component": "api", **TEMPLATE}, ("Deployment", "api-canary")),
        (f"api-canary-{HASH}-x2kfz", {"tier": "control-plane", "component": "api", **TEMPLATE},
         ("Deployment", "api-canary")),
        ("api-gateway-x2kfz", {"tier": "node", "component": "api", **REVISION}, ("DaemonSet", "api-gateway")),
        ("api-gateway-x2kfz", {"tier": "control-plane", "component": "api", **REVISION}, ("DaemonSet", "api-gateway")),
        ("api-db-0", {"tier": "node", "component": "api", **STATEFUL}, ("StatefulSet", "api-db")),
        ("api-migrate-x2kfz", {"tier": "node", "component": "api", "job-name": "api-migrate"}, ("Job", "api-migrate")),
        ("api-gateway", {"tier": "node", "component": "api"}, ("Pod", "api-gateway")),
        ("-x", {"tier": "control-plane", "component": ""}, ("Pod", "-x")),
        (f"rook-ceph-osd-3-{HASH}-x2kfz", {"rook_cluster": "rook-ceph", "ceph_daemon_type": "osd", **TEMPLATE},
         ("CephCluster", "rook-ceph/osd")),
        ("instance-manager-12345678901234567890123456789012",
         {"longhorn.io/component": "instance-manager", "longhorn.io/managed-by": "longhorn-manager"},
         ("LonghornComponent", "instance-manager")),
        ("flow-1-nodex2kfz", {"nifi_cr": "flow", "nodeId": "1"}, ("NifiCluster", "flow")),
        ("pipeline-edges-v7-x2kfz", {"suite": "pachyderm", "pipelineName": "edges"}, ("PachydermPipeline", "edges")),
        ("65b8f0c2a1b2c3d4e5f60718-x2kfz", {"job-name": "65b8f0c2a1b2c3d4e5f60718"}, ("Job", "")),
        ("virt-launcher-vm1-x2kfz", {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": "vm1"},
         ("VirtualMachine", "vm1")),
        (f"cart-{HASH}-x2kfz", {}, ("Deployment", "cart")),
        (f"cart-{HASH}-x2kfz", {"app": "cart"}, ("Pod", "cart")),
        ("worker-11", {"app": "worker"}, ("Pod", "worker")),
        ("build-3f2a1b4c-1111-2222-3333-444455556666", {}, ("Pod", "build")),
        ("3f2a1b4c-1111-2222-3333-444455556666", {}, ("Pod", "")),
        ("bare", {"app": "bare"}, ("Pod", "bare")),
        ("backup-20240131", {}, ("Pod", "backup-20240131")),
        ("", {"job-name": "migrate"}, ("", "")),
    ],
)  # fmt: skip
def test_a_pod_is_its_controllers(pod: str, labels: dict[str, str], owner: tuple[str, str]) -> None:
    assert pod_owner(pod, labels, NODE) == owner


@pytest.mark.parametrize("labels", [TEMPLATE, ROLLOUT, REVISION, {}], ids=["deployment", "rollout", "daemon-set", "no"])
@pytest.mark.parametrize("length", range(30, 59))
def test_pods_of_a_long_name_keep_one_owner_from_release_to_release(labels: dict[str, str], length: int) -> None:
    name = LONG[:length].rstrip("-")
    suffix = "" if labels is REVISION else f"-{HASH}"
    other = "" if labels is REVISION else "-6b8c9d4f5b"
    owners = set()
    for part, pod in ((suffix, "x2kfz"), (suffix, "b4ptz"), (other, "g6v8t")):
        here = dict.fromkeys(labels, part[1:] or HASH)
        owners.add(pod_owner(f"{name}{part}-"[:58] + pod, here))

    assert {owner.name for owner in owners} == {name}


def test_twelve_pods_of_any_controller_have_one_owner() -> None:
    draw = random.Random(1)
    for controller in CONTROLLERS:
        owners = set()
        for number in range(12):
            ending = "".join(draw.choices(SAFE, k=5))
            labels = {label: value or "x" for label, value in controller.with_labels.items()}
            labels |= {controller.labels[-1]: "thing", "pod-template-hash": f"{number}"}
            owners.add(pod_owner(f"thing-{number}-{ending}", labels))
        assert owners == {(controller.kind, "thing")}


@pytest.mark.parametrize("node", ["n1", "gke-prod-pool-1a2b3c4d-x2kf", "GKE-prod-1.c.internal", "10-0-3-7"])
def test_a_static_pod_of_a_node_is_one_by_its_label_and_the_nodes_name(node: str) -> None:
    labels = {"tier": "node", "component": "kube-proxy"}
    assert pod_owner(f"kube-proxy-{node.lower()}", labels, node) == ("Pod", "kube-proxy")
    assert pod_owner("kube-proxy-canary", labels, node) == ("Pod", "kube-proxy-canary")


def test_no_label_that_people_set_on_their_own_makes_an_owner() -> None:
    usual = {"app": "web", "component": "api", "type": "x", "deployment": "web", "workflow-name": "w", "tier": "front"}
    assert pod_owner("web", usual) == ("Pod", "web")


@pytest.mark.parametrize("length", range(12, 50))
def test_pods_of_a_virtual_cluster_keep_one_owner_where_their_names_are_cut(length: int) -> None:
    name = LONG[:length].rstrip("-")
    owners = set()
    for number, (template, random_part) in enumerate(((HASH, "x2kfz"), (HASH, "b4ptz"), ("6b8c9d4f5b", "g6v8t"))):
        whole = f"{name}-{template}-{random_part}-x-shop-x-vc"
        pod = whole if len(whole) <= 63 else f"{whole[:52]}-{number}b12cd34ef"
        owners.add(pod_owner(pod, {**VIRTUAL, "pod-template-hash": template}))
    assert owners == {("Deployment", f"{name}-x-shop-x-vc")}


WORDS = ["http2", "httpd", "smtpd", "mqtt5", "dhcp4", "tftpd", "tmpfs", "snmpd", "php74", "jdk22", "rdbms", "nfsv4"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_looks_like_a_random_ending_stays(word: str) -> None:
    assert pod_owner(f"web-{word}", {"app": "web"}) == ("Pod", f"web-{word}")
    assert pod_owner(f"web-{word}-x2kfz", {"job-name": f"web-{word}"}) == ("Job", f"web-{word}")


def test_random_endings_are_hardly_ever_taken_for_words() -> None:
    draw = random.Random(7)
    names = ["web-" + "".join(draw.choices(SAFE, k=5)) for _ in range(20_000)]
    assert sum(without_generated_ending(name) != "web" for name in names) < 10


@pytest.mark.parametrize("name", ["cart", "node-exporter", "k8s-api", "html5", "api-https", "web-v2", "s3-proxy", "0x"])
def test_a_name_that_a_person_chose_stays(name: str) -> None:
    assert without_generated_ending(name) == name


@pytest.mark.parametrize("date", ["20240131", "19991231", "20991231", "01312024"])
def test_a_date_is_not_a_cron_jobs_time(date: str) -> None:
    assert scheduled_name(f"migrate-{date}") is None


ID = "3f2a1b4c5d6e" + "0" * 52
COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
REDIS = ("Image", "docker.io/library/redis")
ALLOC = "3f2a1b4c-1111-2222-3333-444455556666"


@pytest.mark.parametrize(
    ("name", "labels", "owner"),
    [
        ("bold_bohr", {}, REDIS),
        ("happy_turing3", {}, REDIS),
        ("redis-3f2a1", {}, REDIS),
        ("3f2a1b4c5d6e", {}, REDIS),
        ("runner-x1-project-12-concurrent-0-8d61b0-build", {}, REDIS),
        ("shop-web-1", COMPOSE, ("ComposeService", "shop/web")),
        ("shop_web_12", COMPOSE, ("ComposeService", "shop/web")),
        ("shop-web-run-1a2b3c4d5e6f", COMPOSE, ("ComposeService", "shop/web")),
        ("shop-web-run-1a2b3c4d5e6f", {}, ("ComposeService", "shop/web")),
        ("shop_web.1.q1w2e3r4t5y6u7i8o9p0a1s2d", {}, ("SwarmService", "shop_web")),
        (f"cache-{ALLOC}", {}, ("NomadTask", "cache")),
        (f"cache-{ALLOC}", {"com.hashicorp.nomad.alloc_id": ALLOC, "com.hashicorp.nomad.job_name": "shop"},
         ("NomadTask", "shop/cache")),
        ("ecs-shop-7-web-b0a1c2d3e4f5a6b7c8d9", {}, ("EcsTask", "shop/web")),
        ("shop_web_1_9a8b7c6d5e4f", COMPOSE, ("ComposeService", "shop/web")),
        ("9a8b7c6d5e4f_shop-web-1", COMPOSE, ("ComposeService", "shop/web")),
        ("9a8b7c6d5e4f-infra", {}, REDIS),
        ("9a8b7c6d5e4f-service", {}, REDIS),
        ("redis-working-container-3", {}, REDIS),
        ("reaper_" + "a1" * 32, {}, REDIS),
        ("d8cfe1a6e4f94b1e8bd2f0c6e3f5a7d1_redis7_a1b2c3", {}, REDIS),
        ("cache_redis7_a1b2c3", {}, REDIS),
        ("GITEA-ACTIONS-TASK-7_WORKFLOW-test_JOB-build", {}, REDIS),
        ("drone-q3v8m0xk1zj2h1p9v7c4", {}, REDIS),
        ("wp_01he8bebctabr3kgk0qj36d2me_0_step_0", {}, REDIS),
        ("shop-web-3f2a1b4c5d6e7f8091a2b3c4d5e6f708192a3b4c", {}, REDIS),
        ("app-kgw8s0o-131245678901", {}, REDIS),
        ("berserk_mietner", {}, REDIS),
        # An image's labels alone make no owner, nor does a name that a person chose.
        ("web", COMPOSE, ("", "")),
        ("bold_bohr", COMPOSE, REDIS),
        ("my_app", {}, ("", "")),
        ("cache_nginx1_a1b2c3", {}, ("", "")),
        ("db-20240131", {}, ("", "")),
        ("mysite-infra", {}, ("", "")),
        ("kind-control-plane", {}, ("", "")),
        ("cool_app", {}, ("", "")),
        ("shop-web-1", {}, ("", "")),
        ("", {}, ("", "")),
    ],
)  # fmt: skip
def test_what_stands_for_a_name_that_a_tool_made(name: str, labels: dict[str, str], owner: tuple[str, str]) -> None:
    assert container_owner(ID, name, "docker.io/library/redis:7", labels) == owner


@pytest.mark.parametrize("image", ["redis", "redis:7", "index.docker.io/library/redis:6@sha256:ab"])
def test_one_image_stands_for_the_name_in_each_of_its_spellings(image: str) -> None:
    assert container_owner(ID, "bold_bohr", image, {}) == REDIS


def test_an_image_that_is_unknown_stands_for_nothing() -> None:
    assert container_owner(ID, "bold_bohr", "", {}) == ("", "")


@pytest.mark.parametrize("name", ["bold_bohr", "zen_wozniak", "xenodochial_curie9"])
def test_dockers_names_are_known(name: str) -> None:
    assert is_docker_name(name)


def container(**facts: object) -> wire.Container:
    return wire.Container(**{"id": ID, "image_name": "docker.io/library/redis:7"} | facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "twelve",
    [
        [{"name": name} for name in ("bold_bohr", "zen_curie", "happy_turing3", "sad_cray")],
        [{"name": f"s.{n}.{uuid.uuid5(uuid.NAMESPACE_DNS, str(n)).hex[:25]}"} for n in range(12)],
        [{"name": f"x-web-{n}", "owner": wire.Owner("ComposeService", "x/web")} for n in range(12)],
        [{"name": f"debugger-{n}kfzx", "pod_name": "web-0"} for n in range(4, 9)],
        [{"name": "app", "pod_name": f"cart-{HASH}-x{n}kfz"} for n in range(4, 9)],
        [{"name": f"job-x{n}kfz", "pod_name": f"job-x{n}kfz", "pod_labels": {"job-name": "job"}} for n in range(4, 9)],
        [{"name": f"65b8f0c2a1b2c3d4e5f6071{n}", "pod_name": "x"} for n in range(4, 9)],
        [
            {
                "name": f"f2a1b3c4d5e6f7a8b9c{n}-n0-0",
                "pod_name": f"f2a1b3c4d5e6f7a8b9c{n}-n0-0",
                "pod_labels": {"execution-id": "x", "workflow-name": "etl", "task-name": "load"},
            }
            for n in range(4, 9)
        ],
    ],
)
def test_copies_of_one_container_have_one_fingerprint_and_keep_their_names(twelve: list[dict[str, object]]) -> None:
    facts = [workload_facts(1, container(**each)) for each in twelve]

    assert len({each.scope for each in facts}) == 1
    assert [each.container_name for each in facts] == [each["name"] for each in twelve]


def test_a_container_that_a_person_named_keeps_its_fingerprint() -> None:
    one, other = (workload_facts(1, container(name=name)).scope for name in ("db", "cache"))
    assert one != other
    assert one == (1, "", "", "", "db")


def test_the_reported_owner_counts() -> None:
    found = workload_owner(container(pod_name="cart-x2kfz", owner=wire.Owner("Service", "cart")))
    assert found == ("Service", "cart")


def test_an_owner_fits_its_column() -> None:
    found = workload_owner(container(name="bold_bohr", image_name="registry.example/" + "a" * 900))
    assert len(found.name) == 256
