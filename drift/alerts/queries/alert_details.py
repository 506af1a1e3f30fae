"""An alert in words and as JSON: the same for the pages, the API and the exports."""

from __future__ import annotations

import datetime as dt
import shlex
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from drift.alerts.models import Alert, AlertDetail
from drift.alerts.queries.compiled_policies import DEFAULT_NAME, Compiled, compiled
from drift.fleet.models import Distribution
from drift.policy.models import PolicyVersion
from sensor import policy, wire
from sensor.policy.drift_kinds import DRIFT_KINDS

ALERT_TEXTS: Final[dict[str, str]] = {kind.name: kind.alert_text for kind in DRIFT_KINDS}
PROVIDERS: Final = {"azure": "Azure subscription", "aws": "AWS account", "gcp": "GCP project"}
FAILED: Final = {
    "disabled": "The rule is disabled",
    "cloud_scope": "The cloud scope does not hold",
    "resource_scope": "The resource scope does not hold",
    "process_scope": "The process scope does not hold",
    "unlisted": "The process is not on the allow list, and the rule leaves those to the next one",
}
REASONS: Final = {
    "scope": "The rule's scope holds, so its action was taken.",
    "allow_list": "The process is on the rule's allow list.",
    "not_on_allow_list": "The rule's scope holds, and the process is not on its allow list.",
    "default": "No rule decided, so the default rule did.",
    "identity_incomplete": (
        "The container could not be identified, so no rule could be asked. "
        "The sensor reports this once an hour for the node rather than stay silent."
    ),
}


def description(alert: Alert) -> str:
    """What happened, in a sentence or two."""
    what = ALERT_TEXTS.get(alert.binary.kind, "A process that was not in the original image ran in the container")
    where = f"in namespace {alert.namespace}" if alert.namespace else f"in {alert.cluster.name}"
    ended = {"blocked": " The process was stopped.", "not_blocked": " A rule blocks it, but it could not be stopped."}
    return f"{what} {where}.{ended.get(alert.outcome, '')}"


def resource_kind(alert: Alert) -> str:
    """What the affected resource is, as its cloud calls it."""
    kinds = {
        Distribution.AKS: "Azure AKS cluster",
        Distribution.EKS: "AWS EKS cluster",
        Distribution.GKE: "GCP GKE cluster",
    }
    fallback = "Kubernetes cluster" if alert.cluster.kubernetes_version else "Plain hosts"
    return kinds.get(Distribution(alert.cluster.distribution), fallback)


@dataclass(frozen=True)
class Step:
    """One rule that was looked at: what kept it from deciding, or that it did."""

    number: int
    name: str
    decided: bool
    failed: str
    conditions: str


def steps(alert: Alert) -> list[Step]:
    """The evaluation trace in words, in order; the deciding rule last."""
    version = _version(alert)
    return [_step(number, each, version) for number, each in enumerate(trace(alert), start=1)]


def trace(alert: Alert) -> list[dict[str, Any]]:
    """Each rule that was looked at, in order, the deciding one last (DESIGN §2), by the version that decided.

    Empty where no rule was asked, the portal has no such version (restored), or the event is of a shape
    that is no longer known.
    """
    version = _version(alert) if alert.rule_id else None
    if version is None:
        return []
    stored = alert.detail.event
    try:
        event = msgspec.convert(stored, wire.Event)
    except msgspec.ValidationError:
        return []
    facts = wire.flatten(event, stored["provider"], stored["account"], stored["cluster_name"])
    return version.policy.explain(facts)[1]


def _version(alert: Alert) -> Compiled | None:
    try:
        return compiled(alert.policy_number) if alert.policy_number else None
    except PolicyVersion.DoesNotExist:
        return None


def _step(number: int, each: dict[str, Any], version: Compiled | None) -> Step:
    rule = version.rules.get(each["rule"]) if version else None
    name = (rule or {}).get("name", DEFAULT_NAME if each["rule"] == policy.DEFAULT_RULE else each["rule"])
    failed = each["failed"]
    if failed is None:
        return Step(number, name, decided=True, failed="", conditions="")
    words, conditions = FAILED[failed["scope"]], ""
    if failed["property"]:
        words = f"{words}: {failed['property'].replace('_', ' ')}"
        conditions = _conditions(rule, failed)
    return Step(number, name, decided=False, failed=words, conditions=conditions)


def _conditions(rule: dict[str, Any] | None, failed: dict[str, Any]) -> str:
    """The values that the event would have had to have."""
    scope = (rule or {}).get(failed["scope"], [])
    values = [value for each in scope if each["property"] == failed["property"] for value in each["any_of"]]
    return " or ".join(f"{value['operator'].replace('_', ' ')} “{value['value']}”" for value in values)


def command_line(detail: AlertDetail) -> str:
    """argv as one would type it."""
    process = detail.event["process"]
    text = shlex.join(process.get("argv") or [process["path"]])
    return f"{text} …" if process.get("argv_truncated") else text


def ancestry(process: dict[str, Any]) -> list[tuple[str, int | None]]:
    """(Name, pid) from the oldest known ancestor to the process itself; some sensors name the parent in both places."""
    steps = [(each["name"], each["pid"]) for each in reversed(process.get("ancestors") or [])]
    if parent := process.get("parent"):
        steps = [step for step in steps if step[1] != parent["pid"]] + [(parent["name"], parent["pid"])]
    return [*steps, (process["name"], process.get("pid"))]


def written_earlier(event: dict[str, Any]) -> str:
    """How long before it ran the file was written, as in "3 s" or "5 min"; "" where that is not known."""
    writer = event["process"].get("written_by")
    if not writer:
        return ""
    ran, wrote = (dt.datetime.fromisoformat(when) for when in (event["observed_at"], writer["at"]))
    seconds = max(0.0, (ran - wrote).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def kubectl(alert: Alert) -> dict[str, list[tuple[str, str]]]:
    """Commands to copy, (what for, command): to inspect what happened, and to stop it. Empty outside Kubernetes."""
    if not (alert.namespace and alert.pod_name):
        return {"inspect": [], "isolate": []}
    space, pod = shlex.quote(alert.namespace), shlex.quote(alert.pod_name)
    container = (alert.detail.event["container"].get("name") or "").strip()
    within = f" -c {shlex.quote(container)}" if container else ""
    copy = f"kubectl -n {space} exec {pod}{within} -- cat {shlex.quote(alert.path)} > drifted-binary"
    return {
        "inspect": [
            ("The pod and its events", f"kubectl -n {space} describe pod {pod}"),
            ("Its log", f"kubectl -n {space} logs {pod}{within} --timestamps --tail=500"),
            ("Its processes", f"kubectl -n {space} exec {pod}{within} -- ps -ef"),
            *([] if alert.binary.kind == "fileless" else [("A copy of the file", copy)]),
        ],
        "isolate": [
            ("Label the pod", f"kubectl -n {space} label pod {pod} driftwatch/quarantine=true --overwrite"),
            ("Cut its network (needs a network plugin)", _cut_off(space)),
            ("Delete the pod; its controller makes a fresh one", f"kubectl -n {space} delete pod {pod}"),
        ],
    }


def _cut_off(space: str) -> str:
    spec = '{"podSelector":{"matchLabels":{"driftwatch/quarantine":"true"}},"policyTypes":["Ingress","Egress"]}'
    head = '{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"driftwatch-quarantine"}'
    return f"echo '{head},\"spec\":{spec}}}' | kubectl -n {space} apply -f -"


def explained(alert: Alert) -> dict[str, Any]:
    """One alert as the API gives it: with its trace, which takes too long to find for each of a list."""
    return {**as_json(alert), "trace": trace(alert)}


def as_json(alert: Alert) -> dict[str, Any]:
    """The alert as the API gives it in a list. Needs pulse, detail, binary, cluster__environment and assignee."""
    environment, pulse, detail = alert.cluster.environment, alert.pulse, alert.detail
    return {
        "id": alert.pk,
        "revision": alert.revision,
        "name": alert.title,
        "description": description(alert),
        "severity": alert.severity,
        "status": alert.status,
        "verdict": alert.verdict or None,
        "quiet_until": _iso(alert.quiet_until),
        "until_spread": alert.until_spread,
        "assignee": alert.assignee.email if alert.assignee else None,
        "tactics": ["Execution"],
        "sample": alert.sample,
        "first_seen": _iso(alert.first_seen),
        "last_seen": _iso(pulse.last_seen),
        "updated_at": _iso(max(pulse.updated_at, alert.changed_at)),
        "closed_at": _iso(alert.closed_at),
        "count": pulse.count,
        "blocked": pulse.blocked,
        "outcome": alert.outcome,
        "fingerprint": str(alert.fingerprint),
        "previous": alert.previous_id,
        "incident": alert.incident_id,
        "resource": {
            "provider": environment.provider,
            "account": environment.account,
            "environment": environment.name,
            "cluster": alert.cluster.name,
            "namespace": alert.namespace or None,
            "pod": alert.pod_name or None,
            "image": alert.image_name or None,
        },
        "policy": {"number": alert.policy_number, "action": alert.action, "reason": alert.reason, "rule": detail.rule},
        "event": detail.event,
    }


def _iso(value: Any) -> str | None:
    return value.isoformat() if value else None


def registry(image_name: str) -> str:
    """The host that an image came from; Docker Hub where the name has none."""
    host, slash, _ = image_name.partition("/")
    return host if slash and ("." in host or ":" in host or host == "localhost") else "docker.io"
