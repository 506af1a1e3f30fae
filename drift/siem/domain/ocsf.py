"""An alert's record as an OCSF 1.5.0 Detection Finding (https://schema.ocsf.io/1.5.0/classes/detection_finding)."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

VERSION: Final = "1.5.0"
CLASS_UID: Final = 2004
CREATE, UPDATE, CLOSE = 1, 2, 3
ACTIVITY_NAMES: Final = {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"}
STATUSES: Final = {
    "active": (1, "New"),
    "in_progress": (2, "In Progress"),
    "dismissed": (3, "Suppressed"),
    "resolved": (4, "Resolved"),
}
SEVERITIES: Final = {
    "high": (4, "High"),
    "medium": (3, "Medium"),
    "low": (2, "Low"),
    "informational": (1, "Informational"),
}
PROVIDERS: Final = {"aws": "AWS", "azure": "Azure", "gcp": "GCP"}
ACCOUNT_TYPES: Final = {"aws": (10, "AWS Account"), "gcp": (5, "GCP Account"), "azure": (99, "Azure Subscription")}
"""Accounts' `type_id`; 99 is Other."""
RULE: Final = 1
"""An analytic's `type_id`: a rule."""
SURE: Final = ("confirmed", "likely")
"""Confidences of who entered that name one person."""
FILE_NAME, FILE_HASH, PROCESS_NAME = 7, 8, 9
"""Observables' `type_id`."""


def detection_finding(record: dict[str, Any], product_version: str) -> dict[str, Any]:
    """Return a Detection Finding of a record (`queries.records`). Attributes that would be empty are left out."""
    alert = record["alert"]
    activity = _activity(record["kind"], alert["status"])
    status_id, status = STATUSES[alert["status"]]
    severity_id, severity = SEVERITIES[alert["severity"]]
    resource, process = alert["resource"], alert["event"].get("process", {})
    finding: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": ACTIVITY_NAMES[activity],
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS_UID,
        "class_name": "Detection Finding",
        "type_uid": CLASS_UID * 100 + activity,
        "type_name": f"Detection Finding: {ACTIVITY_NAMES[activity]}",
        "time": milliseconds(record["at"]),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "status_detail": alert["verdict"],
        "message": alert["what"],
        "comment": record["comment"],
        "count": min(alert["count"], 2**31 - 1),
        "metadata": {
            "uid": record["id"],
            "version": VERSION,
            "event_code": record["kind"],
            "profiles": ["cloud", "container"],
            "product": {"name": "Driftwatch", "vendor_name": "Driftwatch", "version": product_version},
        },
        "finding_info": {
            "uid": alert["uid"],
            "title": alert["name"],
            "desc": alert["description"],
            "created_time": milliseconds(alert["first_seen"]),
            "first_seen_time": milliseconds(alert["first_seen"]),
            "last_seen_time": milliseconds(alert["last_seen"]),
            "modified_time": milliseconds(alert["updated_at"]),
            "types": [kind] if (kind := alert["event"].get("kind")) else [],
            "src_url": alert["url"],
            "analytic": _analytic(alert["policy"]),
            "attacks": [{"version": "15", "tactics": [{"name": "Execution", "uid": "TA0002"}]}],
        },
        "cloud": _cloud(resource),
        "resources": [_resource(alert)],
        "evidences": [
            {
                "name": alert["what"],
                "data": _evidence(alert),
                "process": _process(process),
                **_person(alert.get("entered_by")),
            }
        ],
        "observables": _observables(process),
        "unmapped": {"driftwatch": _unmapped(record)},
    }
    return {name: value for name, value in finding.items() if value not in (None, "", [], {})}


def milliseconds(time: str) -> int:
    """Return a time in ISO 8601 as OCSF's `timestamp_t`."""
    moment = dt.datetime.fromisoformat(time)
    return int(moment.timestamp()) * 1_000 + moment.microsecond // 1_000


def _activity(kind: str, status: str) -> int:
    if kind == "opened":
        return CREATE
    return CLOSE if kind in ("status", "suppressed") and status in ("resolved", "dismissed") else UPDATE


def _analytic(policy: dict[str, Any]) -> dict[str, Any]:
    rule = policy["rule"] or {}
    name = rule.get("name") or "Default rule"
    version = None if policy["number"] is None else str(policy["number"])
    found = {"name": name, "uid": rule.get("id") or "default", "type_id": RULE, "type": "Rule", "version": version}
    return _filled(found)


def _cloud(resource: dict[str, Any]) -> dict[str, Any]:
    type_id, type_name = ACCOUNT_TYPES.get(resource["provider"], (99, "Other"))
    account = {"uid": resource["account"], "name": resource["environment"], "type_id": type_id, "type": type_name}
    return {"provider": PROVIDERS.get(resource["provider"], resource["provider"]), "account": account}


def _resource(alert: dict[str, Any]) -> dict[str, Any]:
    resource, container = alert["resource"], alert["event"].get("container", {})
    return _filled(
        {
            "type": "Container" if container.get("id") else "Kubernetes cluster",
            "uid": container.get("id") or resource["cluster"],
            "name": container.get("name") or resource["cluster"],
            "namespace": resource["namespace"],
            "data": _filled({**resource, "node": alert["event"].get("node")}),
        }
    )


def _evidence(alert: dict[str, Any]) -> dict[str, Any]:
    event = alert["event"]
    return _filled({name: event.get(name) for name in ("kind", "process", "container", "node", "observed_at")})


def _process(process: dict[str, Any]) -> dict[str, Any]:
    """Return OCSF's process object; a file without a hash has none."""
    digest = process.get("sha256")
    hashes = [{"algorithm_id": 3, "algorithm": "SHA-256", "value": digest}] if digest else None
    file = {"name": process.get("name"), "path": process.get("path"), "type_id": 1, "hashes": hashes}
    file["size"] = process.get("size")
    parent = process.get("parent") or {}
    return _filled(
        {
            "name": process.get("name"),
            "pid": process.get("pid"),
            "cmd_line": " ".join(process.get("argv") or []),
            "working_directory": process.get("cwd"),
            "user": {"uid": str(process["uid"])} if process.get("uid") is not None else None,
            "file": _filled(file),
            "parent_process": _filled({"name": parent.get("name"), "pid": parent.get("pid")}),
        }
    )


def _person(entered_by: dict[str, Any] | None) -> dict[str, Any]:
    """Return who entered the container and from where, if that is one person for all that is known."""
    if entered_by is None or entered_by["confidence"] not in SURE:
        return {}
    request = entered_by["requests"][0]
    actor = {"user": {"name": request["user"]}} if request["user"] else None
    return _filled({"actor": actor, "src_endpoint": _filled({"ip": request["address"]})})


def _provenance(process: dict[str, Any]) -> dict[str, Any]:
    """Return how the process came into its container and who wrote its file; {}: the sensor does not report it."""
    writer = process.get("written_by") or {}
    return _filled({**(process.get("provenance") or {}), "written_at": writer.get("at")})


def _observables(process: dict[str, Any]) -> list[dict[str, Any]]:
    found = (
        ("evidences.process.name", PROCESS_NAME, "Process Name", process.get("name")),
        ("evidences.process.file.name", FILE_NAME, "File Name", (process.get("path") or "").rpartition("/")[2]),
        ("evidences.process.file.hashes.value", FILE_HASH, "Hash", process.get("sha256")),
    )
    return [dict(zip(("name", "type_id", "type", "value"), each, strict=True)) for each in found if each[3]]


def _unmapped(record: dict[str, Any]) -> dict[str, Any]:
    """Return what the finding has nowhere else."""
    of_alert = ("revision", "outcome", "fingerprint", "incident", "previous", "assignee", "sample", "quiet_until")
    kept = {"alert": record["alert"]["id"], **{name: record["alert"][name] for name in of_alert}}
    kept |= {
        "entered_by": record["alert"].get("entered_by"),
        "provenance": _provenance(record["alert"]["event"].get("process", {})),
    }
    return _filled({"actor": record["actor"], "before": record["before"], "after": record["after"], **kept})


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
