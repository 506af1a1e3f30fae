"""Whether a document keeps every rule and limit of DESIGN §2."""

from __future__ import annotations

import datetime as dt
import re

from sensor.policy.document_errors import DOCUMENT, Fault, Reporter
from sensor.policy.drift_kinds import KINDS
from sensor.policy.properties import BY_NAME, OPERATORS, PROCESS_PROPERTIES, RESOURCE_PROPERTIES
from sensor.policy.vocabulary import (
    ACTIONS,
    DEFAULT_ACTIONS,
    DEFAULT_RULE,
    DIGEST_PREFIX,
    LIMITS,
    PROVIDERS,
    SCHEMA,
    UNLISTED,
)

REQUIRED_RULE_KEYS = ("id", "name", "action", "scope_description", "cloud_scope", "resource_scope", "allow_list")
OPTIONAL_RULE_KEYS = ("enabled", "unlisted", "process_scope", "expires_at", "note")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def check(document: object) -> list[Fault]:
    """Every fault of a document as parsed from JSON; an empty list where it may be evaluated. Never raises."""
    report = Reporter(DOCUMENT)
    if not report.is_object(document, "", ("schema", "rules", "default"), ("detect",)):
        return report.faults
    _check_head(report, document)
    faults = report.faults
    rules = document.get("rules", [])
    if report.is_list(rules, "rules", LIMITS["rules"]):
        for index, rule in enumerate(rules):
            faults += check_rule(rule, index)
        faults += _check_unique(rules)
        _check_account_total(report, rules)
    if "default" in document:
        faults += _check_default(document["default"])
    return faults


def check_rule(rule: object, index: int = 0) -> list[Fault]:
    """The faults of one rule by itself, `index` being its position from 0: what a form asks while it is typed."""
    report = Reporter(_label(rule, index), index)
    if not report.is_object(rule, "", REQUIRED_RULE_KEYS, OPTIONAL_RULE_KEYS):
        return report.faults
    for key in REQUIRED_RULE_KEYS + OPTIONAL_RULE_KEYS:
        if key in rule:
            _FIELD_CHECKS[key](report, key, rule[key])
    _check_value_total(report, rule)
    return report.faults


def _check_head(report: Reporter, document: dict[str, object]) -> None:
    if "schema" in document:
        schema = document["schema"]
        if type(schema) is not int or schema != SCHEMA:
            report.add("schema", f"must be the number {SCHEMA}")
    if "detect" in document:
        detect = document["detect"]
        if report.is_list(detect, "detect", LIMITS["detect"]):
            for position, kind in enumerate(detect):
                report.is_choice(kind, f"detect[{position}]", KINDS)


def _check_default(default: object) -> list[Fault]:
    report = Reporter(DEFAULT_RULE)
    if report.is_object(default, "", ("action",)) and "action" in default:
        report.is_choice(default["action"], "action", DEFAULT_ACTIONS)
    return report.faults


def _label(rule: object, index: int) -> str:
    name = rule.get("name") if isinstance(rule, dict) else None
    usable = Reporter("").is_text(name, "", 1, LIMITS["name"])
    return str(name) if usable else f"rule {index + 1}"


def _check_id(report: Reporter, where: str, value: object) -> None:
    if report.is_text(value, where, 1, LIMITS["id"]) and value == DEFAULT_RULE:
        report.add(where, f"must not be {DEFAULT_RULE!r}: decisions by the default rule are named so")


def _check_name(report: Reporter, where: str, value: object) -> None:
    if report.is_text(value, where, 1, LIMITS["name"]) and not value.strip():
        report.add(where, "must not be blank")


def _check_description(report: Reporter, where: str, value: object) -> None:
    if report.is_text(value, where, 1, LIMITS["scope_description"]) and not value.strip():
        report.add(where, "must not be blank")


def _check_cloud_scope(report: Reporter, where: str, value: object) -> None:
    if not report.is_list(value, where, empty=False):
        return
    for position, entry in enumerate(value):
        here = f"{where}[{position}]"
        if not report.is_object(entry, here, ("provider",), ("accounts",)):
            continue
        if "provider" in entry:
            report.is_choice(entry["provider"], f"{here}.provider", PROVIDERS)
        if "accounts" in entry:
            _check_accounts(report, f"{here}.accounts", entry["accounts"])


def _check_accounts(report: Reporter, where: str, accounts: object) -> None:
    if report.is_list(accounts, where, LIMITS["accounts"], empty=False):
        for position, account in enumerate(accounts):
            report.is_text(account, f"{where}[{position}]", 1, LIMITS["account"])


def _check_resource_scope(report: Reporter, where: str, value: object) -> None:
    _check_conditions(report, where, value, RESOURCE_PROPERTIES)


def _check_process_scope(report: Reporter, where: str, value: object) -> None:
    _check_conditions(report, where, value, PROCESS_PROPERTIES)


def _check_conditions(report: Reporter, where: str, conditions: object, properties: tuple[str, ...]) -> None:
    # Every condition has a value, so more conditions than values allowed can only be too many.
    if not report.is_list(conditions, where, LIMITS["scope_values"]):
        return
    for position, condition in enumerate(conditions):
        here = f"{where}[{position}]"
        if not report.is_object(condition, here, ("property", "any_of")):
            continue
        name = condition.get("property")
        if "property" in condition:
            report.is_choice(name, f"{here}.property", properties)
        if "any_of" in condition:
            _check_values(report, f"{here}.any_of", condition["any_of"], name)


def _check_values(report: Reporter, where: str, values: object, name: object) -> None:
    if not report.is_list(values, where, LIMITS["scope_values"], empty=False):
        return
    for position, entry in enumerate(values):
        here = f"{where}[{position}]"
        if report.is_object(entry, here, ("operator", "value")):
            _check_value(report, here, entry, name)


def _check_value(report: Reporter, where: str, entry: dict[str, object], name: object) -> None:
    operator = entry.get("operator")
    asked = BY_NAME.get(name) if isinstance(name, str) else None
    if "operator" in entry:
        known = report.is_choice(operator, f"{where}.operator", OPERATORS)
        if known and asked and asked.scope != "cloud_scope" and operator not in asked.operators:
            report.add(f"{where}.operator", f"must be {' or '.join(asked.operators)} for {name}")
    if "value" in entry:
        value = entry["value"]
        if not report.is_text(value, f"{where}.value", 1, LIMITS["value"]):
            return
        if asked and asked.form == "labels" and operator == "equals" and "=" not in value:
            report.add(f"{where}.value", f"must be key=value for {name} with equals")


def _check_allow_list(report: Reporter, where: str, value: object) -> None:
    if report.is_list(value, where, LIMITS["allow_list"]):
        for position, entry in enumerate(value):
            _check_allowed(report, f"{where}[{position}]", entry)


def _check_allowed(report: Reporter, where: str, entry: object) -> None:
    is_path = isinstance(entry, str) and entry.startswith("/")
    if not report.is_text(entry, where, 1, LIMITS["path" if is_path else "value"]) or is_path:
        return
    # Said for SHA256: and Sha256: too: as a file name it would quietly never match.
    if entry.lower().startswith(DIGEST_PREFIX):
        if not _DIGEST.fullmatch(entry):
            report.add(where, f"must be {DIGEST_PREFIX} and 64 lower-case hexadecimal digits")
    elif "/" in entry:
        report.add(where, f"must be a file name without /, a path from /, or {DIGEST_PREFIX} and 64 digits")


def _check_action(report: Reporter, where: str, value: object) -> None:
    report.is_choice(value, where, ACTIONS)


def _check_unlisted(report: Reporter, where: str, value: object) -> None:
    report.is_choice(value, where, UNLISTED)


def _check_enabled(report: Reporter, where: str, value: object) -> None:
    if not isinstance(value, bool):
        report.add(where, "must be true or false")


def _check_note(report: Reporter, where: str, value: object) -> None:
    report.is_text(value, where, 0, LIMITS["note"])


def _check_expiry(report: Reporter, where: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and _is_time(value)):
        report.add(where, "must be null or a time as in 2026-12-31T18:00:00Z (RFC 3339)")


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        # To UTC, for a time that only an offset pushes out of the calendar cannot be compared later.
        dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return False
    return True


def _check_value_total(report: Reporter, rule: dict[str, object]) -> None:
    total = sum(_count_values(rule.get(scope)) for scope in ("resource_scope", "process_scope"))
    if total > LIMITS["scope_values"]:
        report.add("resource_scope", f"{total} values with process_scope, at most {LIMITS['scope_values']} are allowed")


def _count_values(conditions: object) -> int:
    if not isinstance(conditions, list):
        return 0
    lists = [condition.get("any_of") for condition in conditions if isinstance(condition, dict)]
    return sum(len(values) for values in lists if isinstance(values, list))


def _check_account_total(report: Reporter, rules: list[object]) -> None:
    total = sum(_count_accounts(rule.get("cloud_scope")) for rule in rules if isinstance(rule, dict))
    if total > LIMITS["accounts"]:
        report.add("rules", f"{total} accounts in all cloud scopes, at most {LIMITS['accounts']} are allowed")


def _count_accounts(entries: object) -> int:
    if not isinstance(entries, list):
        return 0
    lists = [entry.get("accounts") for entry in entries if isinstance(entry, dict)]
    return sum(len(accounts) for accounts in lists if isinstance(accounts, list))


def _check_unique(rules: list[object]) -> list[Fault]:
    faults: list[Fault] = []
    for key, said in (("id", "this id"), ("name", "this name, whatever its letter case,")):
        first: dict[str, int] = {}
        for index, rule in enumerate(rules):
            value = rule.get(key) if isinstance(rule, dict) else None
            if not isinstance(value, str):
                continue
            before = first.setdefault(value.casefold() if key == "name" else value, index)
            if before != index:
                faults.append(Fault(_label(rule, index), key, f"rule {before + 1} already has {said}", index))
    return faults


_FIELD_CHECKS = {
    "id": _check_id,
    "name": _check_name,
    "action": _check_action,
    "scope_description": _check_description,
    "cloud_scope": _check_cloud_scope,
    "resource_scope": _check_resource_scope,
    "allow_list": _check_allow_list,
    "enabled": _check_enabled,
    "unlisted": _check_unlisted,
    "process_scope": _check_process_scope,
    "expires_at": _check_expiry,
    "note": _check_note,
}
