"""Controllers besides Kubernetes' own, and the labels by which each names itself on its pods.

From each project's documentation or source. A label that a controller sets names what a person wrote (a pipeline, a
scale set), and stays the same when a pod, a run or a release is followed by the next.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.names.generated_names import RANDOM, without_random_ending

if TYPE_CHECKING:
    from collections.abc import Mapping


class Controller(NamedTuple):
    """One kind of owner: the labels that hold its name, of which the first that is set counts.

    `with_labels`: others that a pod must have, with any value where it is "". `joined`: a label whose value follows
    the name, after a slash.
    """

    kind: str
    labels: tuple[str, ...]
    with_labels: Mapping[str, str] = {}
    joined: str = ""

    def name(self, labels: Mapping[str, str]) -> str:
        """Return the owner's name, without the ending of a single run; "" for a pod that is not of this kind."""
        if any(label not in labels or value not in ("", labels[label]) for label, value in self.with_labels.items()):
            return ""
        found = next((labels[label] for label in self.labels if labels.get(label)), "")
        part = labels.get(self.joined, "")
        return without_random_ending(found) + (f"/{part}" if found and part else "")


CONTROLLERS: Final = (
    # Services and sets. Those that stand on a Deployment or StatefulSet come before it: it changes with each release.
    Controller("KnativeService", ("serving.knative.dev/service", "serving.knative.dev/configuration")),
    Controller("LeaderWorkerSet", ("leaderworkerset.sigs.k8s.io/name",)),
    Controller("StrimziPodSet", ("strimzi.io/controller-name",), {"strimzi.io/controller": "strimzipodset"}),
    Controller("BroadcastJob", ("broadcastjob-name",), {"broadcastjob-controller-uid": ""}),
    Controller("Fleet", ("agones.dev/fleet",), {"agones.dev/gameserver": ""}),
    Controller("DeploymentConfig", ("deploymentconfig",), {"deployment": ""}),
    Controller("Provider", ("pkg.crossplane.io/provider",)),
    Controller("Function", ("pkg.crossplane.io/function",)),
    Controller("Plan", ("upgrade.cattle.io/plan",)),
    Controller("CatalogSource", ("olm.catalogSource",)),
    Controller("VirtualMachine", ("vm.kubevirt.io/name", "kubevirt.io/domain"), {"kubevirt.io": "virt-launcher"}),
    Controller("CephCluster", ("rook_cluster",), joined="ceph_daemon_type"),
    Controller("LonghornComponent", ("longhorn.io/component",), {"longhorn.io/managed-by": ""}),
    Controller("JupyterHub", ("component",), {"hub.jupyter.org/username": ""}),
    # Databases whose operators number pods, or add random parts to the sets they make.
    Controller("Pooler", ("cnpg.io/poolerName",)),
    Controller("PostgresCluster", ("cnpg.io/cluster", "postgres-operator.crunchydata.com/cluster")),
    Controller("ClickHouseInstallation", ("clickhouse.altinity.com/chi",)),
    Controller("CouchbaseCluster", ("couchbase_cluster",)),
    Controller("NifiCluster", ("nifi_cr",)),
    Controller("VitessCluster", ("planetscale.com/cluster",), joined="planetscale.com/component"),
    # Builds and pipelines.
    Controller("Pipeline", ("tekton.dev/pipeline", "tekton.dev/pipelineRun"), joined="tekton.dev/pipelineTask"),
    Controller("Task", ("tekton.dev/task", "tekton.dev/clusterTask", "tekton.dev/taskRun")),
    Controller("Workflow", ("workflows.argoproj.io/cron-workflow", "workflows.argoproj.io/workflow")),
    Controller("AutoscalingRunnerSet", ("actions.github.com/scale-set-name",)),
    Controller("RunnerDeployment", ("runner-deployment-name",)),
    Controller("GitLabProject", ("project.runner.gitlab.com/name",), joined="job.runner.gitlab.com/name"),
    Controller("ProwJob", ("prow.k8s.io/job",)),
    Controller("BuildConfig", ("openshift.io/build-config.name", "buildconfig"), {"openshift.io/build.name": ""}),
    Controller("DronePipeline", ("io.drone.repo.name",), joined="io.drone.stage.name"),
    Controller("WoodpeckerPipeline", ("woodpecker-ci.org/repo-name",), joined="woodpecker-ci.org/step"),
    Controller("TestRun", ("k6_cr",), {"app": "k6"}),
    Controller("KpackImage", ("image.kpack.io/image",), {"kpack.io/build": ""}),
    # Batch, data and machine learning.
    Controller("ScaledJob", ("scaledjob.keda.sh/name",)),
    Controller("VolcanoJob", ("volcano.sh/job-name",), joined="volcano.sh/task-spec"),
    Controller("JobSet", ("jobset.sigs.k8s.io/jobset-name",), joined="jobset.sigs.k8s.io/replicatedjob-name"),
    Controller("SparkApplication", ("sparkoperator.k8s.io/app-name", "spark-app-name"), {"spark-role": ""}),
    Controller("FlinkDeployment", ("app",), {"type": "flink-native-kubernetes"}),
    Controller("AirflowTask", ("dag_id",), {"airflow_version": ""}, joined="task_id"),
    Controller("AirflowTask", ("dag_id",), {"kubernetes_executor": ""}, joined="task_id"),
    Controller("Experiment", ("katib.kubeflow.org/experiment",)),
    Controller("TrainingJob", ("training.kubeflow.org/job-name",), joined="training.kubeflow.org/replica-type"),
    Controller("RayCluster", ("ray.io/originated-from-cr-name", "ray.io/cluster"), joined="ray.io/node-type"),
    Controller("DaskCluster", ("dask.org/cluster-name",), joined="dask.org/component"),
    Controller("NextflowProcess", ("nextflow.io/processName",), {"nextflow.io/app": "nextflow"}),
    Controller("DagsterJob", ("dagster/job",)),
    Controller("PrefectFlow", ("prefect.io/deployment-name", "prefect.io/flow-name")),
    Controller("KestraFlow", ("kestra.io/flow-id",), joined="kestra.io/task-id"),
    Controller("PachydermPipeline", ("pipelineName",), {"suite": "pachyderm"}),
    Controller("FlyteWorkflow", ("workflow-name",), {"execution-id": ""}, joined="task-name"),
)

NAMELESS_CONTAINERS: Final = frozenset({"DronePipeline", "FlyteWorkflow", "NextflowProcess", "WoodpeckerPipeline"})
"""Kinds whose containers are called as their pods, or after a random number."""
_JENKINS: Final = frozenset({"jenkins/label", "jenkins/jenkins-jenkins-agent", "kubernetes.jenkins.io/controller"})
_JENKINS_ENDING: Final = re.compile(r"(?:[-_]\d+)?(?:-[bcdfghjklmnpqrstvwxz0-9]{5})+$")
"""A build's number and what the plugin draws at random; its alphabet has all digits."""
_FORMS: Final = (
    ("SparkApplication", "spark-role", re.compile(r"(.+?)(?:-[0-9a-f]{16}-(?:driver|exec-\d+))?")),
    (
        "DeploymentConfig",
        "openshift.io/deployer-pod-for.name",
        re.compile(r"(.+)-\d+-(?:deploy|hook-(?:pre|mid|post))"),
    ),
    # Spinnaker appends a version to the name of each ReplicaSet that it makes.
    ("ReplicaSet", "moniker.spinnaker.io/sequence", re.compile(rf"(.+)-v\d{{3}}-{RANDOM}")),
)
"""Kinds of owners with a label that their pods have, and the form of their names: the owner's, then an ending."""
_GITLAB_POD: Final = re.compile(r"runner-.+-project-(\d+)-concurrent-\d+-?\w+$")


def labelled_owner(pod_name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Return kind and name of the controller that a pod's labels name; None where it is none of these."""
    if instance := labels.get("apps.kruise.io/cloneset-instance-id"):
        return "CloneSet", pod_name.removesuffix(f"-{instance}")
    found = ((each.kind, name) for each in CONTROLLERS if (name := each.name(labels)))
    return next(found, None) or _named_by_pod(pod_name, labels)


def _named_by_pod(pod_name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the owner where labels only say what it is, and the pod's name who."""
    if runner := labels.get("runner-pod"):  # The containers of a job, beside a runner of GitHub.
        return "AutoscalingRunnerSet", without_random_ending(without_random_ending(runner).removesuffix("-runner"))
    if not _JENKINS.isdisjoint(labels) or labels.get("jenkins") in ("slave", "agent"):
        return "JenkinsAgent", _JENKINS_ENDING.sub("", pod_name) or pod_name
    formed = ((kind, form.fullmatch(pod_name)) for kind, label, form in _FORMS if label in labels)
    if owner := next(((kind, found[1]) for kind, found in formed if found), None):
        return owner
    if labels.get("pod", "").startswith("runner-") and (found := _GITLAB_POD.match(pod_name)):
        return "GitLabProject", found[1]
    return None
