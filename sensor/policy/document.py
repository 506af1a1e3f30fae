"""The normalised document, its digest, and the policy of a new portal."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sensor.policy.canonical import canonical_json
from sensor.policy.decisions import effective_action
from sensor.policy.document_errors import PolicyInvalid
from sensor.policy.document_terms import DEFAULT_SEVERITY, PROVIDERS, SCHEMA
from sensor.policy.drift_kinds import DEFAULT_DETECT
from sensor.policy.features import looks_at_lineage
from sensor.policy.validation import check

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_KUBE_SYSTEM_RULE_ID = "0d3b5a7e-52c1-5c0e-9a53-6c2f8f0f6b11"


def normalise(document: object) -> dict[str, Any]:
    """Return a new document with every key, in a fixed order and with defaults filled in; nothing else changes.

    `severity` and `dry_run` alone are left out where they are the default.

    Raises PolicyInvalid with every error. Normalising twice changes nothing more.
    """
    errors = check(document)
    if errors or not isinstance(document, dict):
        raise PolicyInvalid(errors)
    return {
        "schema": document["schema"],
        "detect": list(document.get("detect", DEFAULT_DETECT)),
        "rules": [_normalise_rule(rule) for rule in document["rules"]],
        "default": {"action": document["default"]["action"], **_dry_run(document["default"])},
    }


def digest(document: object) -> str:
    """Return the SHA-256 (64 hex digits) of the normalised document's canonical JSON. Raises PolicyInvalid."""
    return hashlib.sha256(canonical_json(normalise(document))).hexdigest()


def decisive_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a normalised document as sensors get it: without what only the portal reads.

    That is severities and dry runs, which older sensors would reject: to a sensor a dry run of a blocking rule is a
    rule that alerts. The rules of `lineage_rules` are disabled, for sensors that do not know these.
    """
    portal_only = ("severity", "dry_run")
    *rules, default = (
        {key: value for key, value in rule.items() if key not in portal_only} | {"action": effective_action(rule)}
        for rule in (*document["rules"], document["default"])
    )
    later = frozenset(lineage_rules(document))
    rules = [{**rule, "enabled": False} if rule["id"] in later else rule for rule in rules]
    return {**document, "rules": rules, "default": default}


def lineage_rules(document: Mapping[str, Any]) -> list[str]:
    """Return the ids of the enabled rules of a normalised document that look at the programs above a writer.

    Older sensors took any program's name for that: to them these rules match nothing.
    """
    return [rule["id"] for rule in document["rules"] if rule["enabled"] and looks_at_lineage(rule)]


def with_lineage_rules(document: Mapping[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """Return the document with the rules of these ids enabled again: what a sensor that knows these decides by."""
    rules = [{**rule, "enabled": True} if rule["id"] in ids else rule for rule in document["rules"]]
    return {**document, "rules": rules}


def default_document() -> dict[str, Any]:
    """Return a new copy of the normalised policy of a new portal, version 1."""
    rule = {
        "id": _KUBE_SYSTEM_RULE_ID,
        "name": "Alert on Kube-System namespace",
        "action": "alert",
        "scope_description": "kube-system namespace",
        "cloud_scope": [{"provider": provider} for provider in PROVIDERS],
        "resource_scope": [{"property": "namespace", "any_of": [{"operator": "equals", "value": "kube-system"}]}],
        "allow_list": [],
    }
    return normalise({"schema": SCHEMA, "rules": [rule], "default": {"action": "ignore"}})


def _normalise_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": rule["id"],
        "name": rule["name"],
        "action": rule["action"],
        "scope_description": rule["scope_description"],
        "cloud_scope": [_normalise_entry(entry) for entry in rule["cloud_scope"]],
        "resource_scope": [_normalise_condition(condition) for condition in rule["resource_scope"]],
        "allow_list": list(rule["allow_list"]),
        "enabled": rule.get("enabled", True),
        "unlisted": rule.get("unlisted", "decide"),
        "process_scope": [_normalise_condition(condition) for condition in rule.get("process_scope", [])],
        "expires_at": rule.get("expires_at"),
        "note": rule.get("note", ""),
        # Only where it is another than the default: documents from before severities keep their digests.
        **({"severity": rule["severity"]} if rule.get("severity", DEFAULT_SEVERITY) != DEFAULT_SEVERITY else {}),
        **_dry_run(rule),
    }


def _dry_run(rule: Mapping[str, Any]) -> dict[str, bool]:
    return {"dry_run": True} if rule.get("dry_run") else {}


def _normalise_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    if "accounts" in entry:
        return {"provider": entry["provider"], "accounts": list(entry["accounts"])}
    return {"provider": entry["provider"]}


def _normalise_condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    values = [{"operator": value["operator"], "value": value["value"]} for value in condition["any_of"]]
    return {"property": condition["property"], "any_of": values}
