"""The words for the parts of an alert, on pages, in exports and in the API."""

from __future__ import annotations

import shlex
from typing import Final

from sensor.policy.drift_kinds import DRIFT_KINDS

DRIFT: Final[dict[str, str]] = {kind.name: kind.alert_text for kind in DRIFT_KINDS}
"""The first sentence of the description, by kind of drift."""
MAX_COUNT: Final = 10_000
"""Greater counts are shown as "10,000+": counting further would take time and change nothing for the reader."""
UNKNOWN_DRIFT: Final = "A file that is not in the container image was executed"
OUTCOMES: Final = {
    "blocked": " The process was stopped.",
    "not_blocked": " A rule blocks it, but it could not be stopped.",
    "would_block": " A rule would block it, but only records that.",
}
ACCOUNT_KINDS: Final = {"azure": "Azure subscription", "aws": "AWS account", "gcp": "GCP project"}
RESOURCE_KINDS: Final = {
    "aks": "Azure AKS cluster",
    "eks": "AWS EKS cluster",
    "gke": "GCP GKE cluster",
}
UNMATCHED: Final = {
    "disabled": "The rule is disabled",
    "cloud_scope": "The cloud scope does not match",
    "resource_scope": "The resource scope does not match",
    "process_scope": "The process scope does not match",
    "unlisted": "The process is not on the allow list, so the rule passes it to the next rule",
}
"""Why a rule did not decide."""
REASONS: Final = {
    "scope": "The rule's scope matches, so its action was taken.",
    "allow_list": "The process is on the rule's allow list.",
    "not_on_allow_list": "The rule's scope matches, and the process is not on its allow list.",
    "default": "No rule matched, so the default rule decided.",
    "container_flood": (
        "The container ran more new files within an hour than it may open alerts for, so the rest is counted here. "
        "Each file was decided by its own rule."
    ),
    "sensor_flood": (
        "The sensor reported more new files within an hour than it may open alerts for, so the rest is counted here. "
        "Each file was decided by its own rule."
    ),
    "identity_incomplete": (
        "The container could not be identified, so no rule could be evaluated. "
        "The sensor reports this once an hour for the node."
    ),
}
"""Why the rule that decided did."""

SESSIONS: Final = {
    "workload": "Started by the workload",
    "exec": "Entered the container (exec)",
    "probe": "Probe or hook of the pod, or its very command",
    "init": "Started by an init container",
    "debug": "Started in an ephemeral container (kubectl debug)",
}
WRITER_SESSIONS: Final = {
    "workload": "Written by the workload",
    "exec": "Written by who entered (exec)",
}
ORIGINS: Final = {
    "image": "Unchanged from the image",
    "runtime": "A program of the node",
    "drift": "Drift itself",
}
WHO_RAN: Final = {
    "workload": "The workload",
    "exec": "Somebody, by an exec session,",
    "": "A process of an unknown session",
}
WRITER_IS: Final = {
    "image": "unchanged from the image",
    "runtime": "a program of the node",
    "drift": "drift itself",
}
IN_SESSION: Final = {
    "workload": " by the workload",
    "exec": " in an exec session",
}
NOT_REPORTED: Final = "Not reported by this sensor"
UNKNOWN: Final = "Unknown"


FLOODS: Final = {
    "container_flood": "More new files ran in a container of {} than it may open alerts for. The others count here.",
    "sensor_flood": "A sensor in {} reported more new files than it may open alerts for. The others count here.",
}


def alert_description(kind: str, outcome: str, namespace: str, cluster: str, reason: str) -> str:
    """Return what happened, where, and how it ended, in one or two sentences."""
    place = f"namespace {namespace}" if namespace else cluster
    if reason in FLOODS:
        return FLOODS[reason].format(place)
    return f"{DRIFT.get(kind, UNKNOWN_DRIFT)} in {place}.{OUTCOMES.get(outcome, '')}"


def what_ran(path: str, owner: str, container: str, writer: str, reason: str = "") -> str:
    """Return what ran, where, and by whom it was written, as in "xmrig in cart/web — written by curl".

    Names with blanks and the like are quoted as a shell does: a file may be called "gdb — written by dpkg".
    """
    if reason in FLOODS:
        return "Files past the limit"
    name = path.rstrip("/").rpartition("/")[2] or path
    place = "/".join(dict.fromkeys(filter(None, (owner, container))))
    by = f" — written by {shlex.quote(writer)}" if writer else ""
    return f"{shlex.quote(name)}{f' in {place}' if place else ''}{by}"


def resource_kind(distribution: str, kubernetes_version: str | None) -> str:
    """Return the kind of the affected resource, in its cloud's terms."""
    fallback = "Kubernetes cluster" if kubernetes_version else "Plain hosts"
    return RESOURCE_KINDS.get(distribution, fallback)


def registry_host(image_name: str) -> str:
    """Return the registry that an image comes from; Docker Hub where the name has none."""
    host, slash, _ = image_name.partition("/")
    return host if slash and ("." in host or ":" in host or host == "localhost") else "docker.io"
