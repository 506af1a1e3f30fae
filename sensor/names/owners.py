"""The workload that created a pod or container, by the labels of its controller, else by its name.

Sensor and portal use this one code: the sensor for what it reports, the portal for events without an owner. It is part
of every fingerprint, so a change of it opens alerts anew (docs/alerts.md#owner).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sensor.names.controllers import NAMELESS_CONTAINERS, labelled_owner
from sensor.names.generated_names import (
    RANDOM,
    generated_base,
    is_generated,
    is_id,
    scheduled_name,
    without_generated_ending,
    without_random_ending,
)
from sensor.names.standalone import STANDALONE_KINDS, standalone_owner
from sensor.names.virtual_clusters import virtual_pod, without_start_of

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB_LABELS: Final = ("batch.kubernetes.io/job-name", "job-name")
TEMPLATE_LABELS: Final = {"Rollout": "rollouts-pod-template-hash", "Deployment": "pod-template-hash"}
STATEFUL_SET_LABEL: Final = "statefulset.kubernetes.io/pod-name"
REVISION_LABEL: Final = "controller-revision-hash"
MAX_OWNER: Final = 256
_JOB_PREFIX: Final = 52
"""Of a Job's name, what its pods' names surely begin with: they are cut."""
_DEBUGGING_POD: Final = re.compile(rf"(node-debugger)-.+-{RANDOM}|(nsenter)-[a-z0-9]{{6}}|(k9s-shell)-\d+")
"""What `kubectl debug node/NAME`, the plugin `kubectl node-shell` and k9s start on a node."""
_NO_LABEL: Final = re.compile("[^a-z0-9-]")
"""What `oc debug node/NAME` leaves out of the node's name."""
_RETRY: Final = re.compile(r"-retry-\d+$")
"""Of a static pod's installer on OpenShift."""
_DEBUGGER: Final = re.compile(r"debugger-[a-z0-9]{5}")


class OwnerName(NamedTuple):
    """An owner's kind and name; both empty where a person named the container, outside Kubernetes."""

    kind: str
    name: str


class Owned(Protocol):
    """A container as the wire has it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def image_name(self) -> str | None: ...
    @property
    def owner(self) -> Reported | None: ...
    @property
    def pod_name(self) -> str | None: ...
    @property
    def pod_labels(self) -> Mapping[str, str]: ...


class Reported(Protocol):
    """An owner as the wire has it."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


def workload_owner(container: Owned) -> OwnerName:
    """Return the owner that the portal stores: the reported one, else the one that labels or names suggest."""
    if container.owner is not None:
        return OwnerName(container.owner.kind, container.owner.name)
    if container.pod_name:
        return pod_owner(container.pod_name, container.pod_labels)
    return container_owner(container.id, container.name or "", container.image_name or "", {})


def pod_owner(pod_name: str, labels: Mapping[str, str], node: str = "") -> OwnerName:
    """Return the owner of a pod; `node` is the node's name, with which the names of static pods end.

    The order is that of docs/alerts.md#owner.
    """
    if not pod_name:
        return OwnerName("", "")
    pod_name, ending = virtual_pod(pod_name, labels)
    kind, name = (
        labelled_owner(pod_name, labels) or _built_in_owner(pod_name, labels) or _by_name(pod_name, labels, node)
    )
    return OwnerName(kind, f"{name}{ending}"[:MAX_OWNER] if name else "")


def container_owner(container_id: str, name: str, image_name: str, labels: Mapping[str, str]) -> OwnerName:
    """Return the owner of a container outside Kubernetes; an empty one where its name was chosen by a person."""
    kind, owner = standalone_owner(container_id, name, image_name, labels)
    return OwnerName(kind, owner[:MAX_OWNER])


def stable_container_name(owner_kind: str, name: str) -> str:
    """Return a container's name as fingerprints have it: "" where the owner stands for a name that was generated."""
    if owner_kind in STANDALONE_KINDS or owner_kind in NAMELESS_CONTAINERS:
        return ""
    if owner_kind and _DEBUGGER.fullmatch(name):
        return "debugger"
    return "" if owner_kind and is_generated(name) else name


def _built_in_owner(pod_name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the owner that Kubernetes' own labels name, first where the pod's name agrees with them."""
    return _of_template(pod_name, labels) or _of_job(pod_name, labels) or _of_other_form(pod_name, labels)


def _of_template(pod_name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    for kind, label in TEMPLATE_LABELS.items():
        if labels.get(label) and (name := generated_base(pod_name, labels[label])):
            return kind, name
    return None


def _of_job(pod_name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    job = next((labels[label] for label in JOB_LABELS if labels.get(label)), "")
    if not job or not pod_name.startswith(job[:_JOB_PREFIX]):
        return None
    cron_job = scheduled_name(job)
    if cron_job:
        return "CronJob", cron_job
    return "Job", "" if is_id(job) else without_random_ending(job)


def _of_other_form(pod_name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    if STATEFUL_SET_LABEL in labels:
        return "StatefulSet", re.sub(r"-\d+$", "", pod_name)
    for kind, label in TEMPLATE_LABELS.items():  # A pod that a ReplicaSet took over has a name of another form.
        if labels.get(label):
            known = pod_name.rpartition(f"-{labels[label]}-")[0] or without_start_of(f"-{labels[label]}-", pod_name)
            return kind, known if known != pod_name else without_generated_ending(pod_name)
    if labels.get(REVISION_LABEL):
        return "DaemonSet", generated_base(pod_name) or without_generated_ending(pod_name)
    return None


def _by_name(pod_name: str, labels: Mapping[str, str], node: str) -> tuple[str, str]:
    """Return the last resort: the name without its generated ending."""
    if debugging := _DEBUGGING_POD.fullmatch(pod_name):
        return "Pod", next(filter(None, debugging.groups()))
    if (simple := _NO_LABEL.sub("", node.lower())) and re.fullmatch(rf"{simple}-debug(-{RANDOM})?", pod_name):
        return "Pod", "node-debugger"
    if component := _component(pod_name, labels, node.lower()):
        return "Pod", component
    if static := _without_node(pod_name, node.lower()):
        return "Pod", without_generated_ending(_RETRY.sub("", static))
    name = without_generated_ending(pod_name)
    is_deployment = not labels and re.fullmatch(f"{re.escape(name)}-[4-9bcdf]{{6,10}}-[a-z0-9]{{5}}", pod_name)
    return ("Deployment" if is_deployment else "Pod"), name  # Without labels the runtime's answer is still missing.


def _component(pod_name: str, labels: Mapping[str, str], node: str) -> str:
    """Return what a static pod of kubeadm or GKE is, whose name is followed by the node's; "" for any other pod."""
    component, tier = labels.get("component", ""), labels.get("tier")
    if not component or not pod_name.startswith(f"{component}-"):
        return ""
    # People call a tier of their own so too: there only the node's name tells.
    is_nodes = bool(node) and pod_name[len(component) + 1 :].partition(".")[0] == node.partition(".")[0]
    return component if tier == "control-plane" or (tier == "node" and is_nodes) else ""


def _without_node(pod_name: str, node: str) -> str:
    """Return what precedes the node's name, of which either side may have the domain; "" where it is not there."""
    host = node.partition(".")[0]
    if not host or re.fullmatch(r"[\d.]*|[0-9a-z]{1,2}", host):
        return ""
    found = re.fullmatch(rf"(.+)-{re.escape(host)}(?:\.[a-z0-9.-]+)?", pod_name)
    return found[1] if found else ""
