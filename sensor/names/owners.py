"""The workload that created a pod, read from the labels that Kubernetes' controllers set on it.

https://kubernetes.io/docs/reference/labels-annotations-taints/ lists the labels: a Deployment's pods carry
`pod-template-hash`, a Job's `job-name`, a StatefulSet's `statefulset.kubernetes.io/pod-name`, and both a
StatefulSet's and a DaemonSet's `controller-revision-hash`.

Sensor and portal read them in different orders, each fixed by what was stored before: the sensor's owner is part of
every event it sent, the portal's of every fingerprint it computed for events without one. Change neither alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB_LABELS: Final = ("batch.kubernetes.io/job-name", "job-name")
TEMPLATE_LABEL: Final = "pod-template-hash"
STATEFUL_SET_LABEL: Final = "statefulset.kubernetes.io/pod-name"
REVISION_LABEL: Final = "controller-revision-hash"
_RANDOM: Final = "[a-z0-9]{5}"
"""The suffix that Kubernetes appends to generated names."""


class OwnerName(NamedTuple):
    """An owner's kind and name; both empty where there is no pod."""

    kind: str
    name: str


def controller_owner(pod_name: str, labels: Mapping[str, str]) -> OwnerName | None:
    """Return the owner as the sensor reports it; None for a bare pod or a pod name of an unknown form.

    | order | label | owner | its name |
    |---|---|---|---|
    | 1 | `job-name` ending in 8 to 10 digits | CronJob | the label without the digits |
    | 2 | `job-name` | Job | the label |
    | 3 | `statefulset.kubernetes.io/pod-name` | StatefulSet | the pod's without the ordinal |
    | 4 | `pod-template-hash` | Deployment | the pod's without `-<hash>-<5 characters>` |
    | 5 | `controller-revision-hash` | DaemonSet | the pod's without `-<5 characters>` |
    """
    if job := _job_name(labels):
        # A CronJob appends the minutes since 1970 (in old versions the seconds) to the names of its Jobs.
        cron_job = re.sub(r"-\d{8,10}$", "", job)
        return _named("CronJob", cron_job) if cron_job != job else _named("Job", job)
    if labels.get(STATEFUL_SET_LABEL):
        return _named("StatefulSet", re.sub(r"-\d+$", "", pod_name))
    if template := labels.get(TEMPLATE_LABEL):
        return _without_suffix("Deployment", pod_name, f"-{re.escape(template)}-{_RANDOM}")
    if labels.get(REVISION_LABEL):
        return _without_suffix("DaemonSet", pod_name, f"-{_RANDOM}")
    return None


class Owned(Protocol):
    """A container as the wire has it."""

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
    """Return the owner that the portal stores: the reported one, else the one that the pod's labels suggest."""
    if container.owner is not None:
        return OwnerName(container.owner.kind, container.owner.name)
    return fingerprint_owner(container.pod_name or "", container.pod_labels)


def fingerprint_owner(pod_name: str, labels: Mapping[str, str]) -> OwnerName:
    """Return the owner that the portal assumes for an event without one; the pod itself where no label names any.

    | order | label | owner | its name |
    |---|---|---|---|
    | 1 | `pod-template-hash` | Deployment | the pod's up to the last `-<hash>-` |
    | 2 | `job-name` ending in 8 or more digits | CronJob | the label without the digits |
    | 3 | `job-name` | Job | the label |
    | 4 | `statefulset.kubernetes.io/pod-name` | StatefulSet | the pod's up to the last dash |
    | 5 | `controller-revision-hash` | DaemonSet | the pod's up to the last dash |

    A pod name of another form stands for the owner's name.
    """
    if not pod_name:
        return OwnerName("", "")
    if template := labels.get(TEMPLATE_LABEL):
        return OwnerName("Deployment", pod_name.rpartition(f"-{template}-")[0] or pod_name)
    if job := _job_name(labels):
        scheduled = re.fullmatch(r"(.+)-\d{8,}", job)
        return OwnerName("CronJob", scheduled[1]) if scheduled else OwnerName("Job", job)
    for label, kind in ((STATEFUL_SET_LABEL, "StatefulSet"), (REVISION_LABEL, "DaemonSet")):
        if label in labels:
            return OwnerName(kind, pod_name.rpartition("-")[0] or pod_name)
    return OwnerName("Pod", pod_name)


def _job_name(labels: Mapping[str, str]) -> str | None:
    return next((labels[label] for label in JOB_LABELS if labels.get(label)), None)


def _named(kind: str, name: str) -> OwnerName | None:
    return OwnerName(kind, name) if name else None


def _without_suffix(kind: str, pod_name: str, suffix: str) -> OwnerName | None:
    name = re.sub(f"{suffix}$", "", pod_name)
    return _named(kind, name) if name != pod_name else None
