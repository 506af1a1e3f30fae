"""Checks of a document: every rule and limit (docs/policy-semantics.md#a-document)."""

from __future__ import annotations

import datetime as dt
import re

from sensor.policy.document_errors import DOCUMENT, DocumentError, ErrorCollector
from sensor.policy.document_terms import (
    ACTIONS,
    DEFAULT_RULE,
    DIGEST_PREFIX,
    GLOB_PREFIX,
    LIMITS,
    PROVIDERS,
    SCHEMA,
    SEVERITIES,
    UNLISTED,
)
from sensor.policy.drift_kinds import KINDS
from sensor.policy.near_terms import nearest_entry, nearest_term
from sensor.policy.properties import BY_NAME, OPERATORS, PROCESS_PROPERTIES, RESOURCE_PROPERTIES

REQUIRED_RULE_KEYS = ("id", "name", "action", "scope_description", "cloud_scope", "resource_scope", "allow_list")
OPTIONAL_RULE_KEYS = ("enabled", "unlisted", "process_scope", "expires_at", "note", "severity", "dry_run")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def check(document: object) -> list[DocumentError]:
    """Return every error of a document as parsed from JSON; an empty list where it is valid. Never raises."""
    found = ErrorCollector(DOCUMENT)
    if not found.is_object(document, "", ("schema", "rules", "default"), ("detect",)):
        return found.errors
    _check_head(found, document)
    errors = found.errors
    rules = document.get("rules", [])
    if found.is_list(rules, "rules", LIMITS["rules"]):
        for index, rule in enumerate(rules):
            errors += check_rule(rule, index)
        errors += _check_unique(rules)
        _check_account_total(found, rules)
    if "default" in document:
        errors += _check_default(document["default"])
    return errors


def check_rule(rule: object, index: int = 0) -> list[DocumentError]:
    """Return the errors of one rule on its own, such as a form's; `index` is its position from 0."""
    found = ErrorCollector(_label(rule, index), index)
    if not found.is_object(rule, "", REQUIRED_RULE_KEYS, OPTIONAL_RULE_KEYS):
        return found.errors
    for key in REQUIRED_RULE_KEYS + OPTIONAL_RULE_KEYS:
        if key in rule:
            _FIELD_CHECKS[key](found, key, rule[key])
    _check_dry_run_blocks(found, rule)
    _check_probe_allows_nothing(found, rule)
    _check_value_total(found, rule)
    return found.errors


def _check_head(found: ErrorCollector, document: dict[str, object]) -> None:
    if "schema" in document:
        schema = document["schema"]
        if type(schema) is not int or schema != SCHEMA:
            found.add("schema", f"must be the number {SCHEMA}")
    if "detect" in document:
        detect = document["detect"]
        if found.is_list(detect, "detect", LIMITS["detect"]):
            for position, kind in enumerate(detect):
                found.is_choice(kind, f"detect[{position}]", KINDS)


def _check_default(default: object) -> list[DocumentError]:
    found = ErrorCollector(DEFAULT_RULE)
    if found.is_object(default, "", ("action",), ("dry_run",)):
        for key in ("action", "dry_run"):
            if key in default:
                _FIELD_CHECKS[key](found, key, default[key])
        _check_dry_run_blocks(found, default)
    return found.errors


def _label(rule: object, index: int) -> str:
    name = rule.get("name") if isinstance(rule, dict) else None
    usable = ErrorCollector("").is_string(name, "", 1, LIMITS["name"])
    return str(name) if usable else f"rule {index + 1}"


def _check_id(found: ErrorCollector, where: str, value: object) -> None:
    if found.is_string(value, where, 1, LIMITS["id"]) and value == DEFAULT_RULE:
        found.add(where, f"must not be {DEFAULT_RULE!r}: decisions by the default rule are named so")


def _check_name(found: ErrorCollector, where: str, value: object) -> None:
    if found.is_string(value, where, 1, LIMITS["name"]) and not value.strip():
        found.add(where, "must not be blank")


def _check_description(found: ErrorCollector, where: str, value: object) -> None:
    if found.is_string(value, where, 1, LIMITS["scope_description"]) and not value.strip():
        found.add(where, "must not be blank")


def _check_cloud_scope(found: ErrorCollector, where: str, value: object) -> None:
    if not found.is_list(value, where, empty=False):
        return
    for position, entry in enumerate(value):
        here = f"{where}[{position}]"
        if not found.is_object(entry, here, ("provider",), ("accounts",)):
            continue
        if "provider" in entry:
            found.is_choice(entry["provider"], f"{here}.provider", PROVIDERS)
        if "accounts" in entry:
            _check_accounts(found, f"{here}.accounts", entry["accounts"])


def _check_accounts(found: ErrorCollector, where: str, accounts: object) -> None:
    if found.is_list(accounts, where, LIMITS["accounts"], empty=False):
        for position, account in enumerate(accounts):
            found.is_string(account, f"{where}[{position}]", 1, LIMITS["account"])


def _check_resource_scope(found: ErrorCollector, where: str, value: object) -> None:
    _check_conditions(found, where, value, RESOURCE_PROPERTIES)


def _check_process_scope(found: ErrorCollector, where: str, value: object) -> None:
    _check_conditions(found, where, value, PROCESS_PROPERTIES)


def _check_conditions(found: ErrorCollector, where: str, conditions: object, properties: tuple[str, ...]) -> None:
    # Every condition has at least one value, so the limit on values bounds the conditions too.
    if not found.is_list(conditions, where, LIMITS["scope_values"]):
        return
    for position, condition in enumerate(conditions):
        here = f"{where}[{position}]"
        if not found.is_object(condition, here, ("property", "any_of")):
            continue
        name = condition.get("property")
        if "property" in condition:
            found.is_choice(name, f"{here}.property", properties)
        if "any_of" in condition:
            _check_values(found, f"{here}.any_of", condition["any_of"], name)


def _check_values(found: ErrorCollector, where: str, values: object, name: object) -> None:
    if not found.is_list(values, where, LIMITS["scope_values"], empty=False):
        return
    for position, entry in enumerate(values):
        here = f"{where}[{position}]"
        if found.is_object(entry, here, ("operator", "value")):
            _check_value(found, here, entry, name)


def _check_value(found: ErrorCollector, where: str, entry: dict[str, object], name: object) -> None:
    operator = entry.get("operator")
    compared = BY_NAME.get(name) if isinstance(name, str) else None
    if "operator" in entry:
        known = found.is_choice(operator, f"{where}.operator", OPERATORS)
        if known and compared and compared.scope != "cloud_scope" and operator not in compared.operators:
            found.add(f"{where}.operator", f"must be {' or '.join(compared.operators)} for {name}")
    if "value" in entry:
        value = entry["value"]
        if not found.is_string(value, f"{where}.value", 1, LIMITS["value"]):
            return
        if compared and compared.form == "labels" and operator == "equals" and "=" not in value:
            meant = found.meant(_nearest_label, value)
            found.add(f"{where}.value", f"must be key=value for {name} with equals{meant}")
        if compared and compared.values and value not in compared.values:
            meant = found.meant(nearest_term, value, compared.values)
            found.add(f"{where}.value", f"must be {' or '.join(compared.values)} for {name}{meant}")


def _nearest_label(value: str) -> str:
    from sensor.policy.lint.labels import label_flaw  # sensors, which check valid documents, need not load it

    flaw = label_flaw("equals", value)
    return flaw.suggestion.words if flaw and flaw.suggestion else ""


def _check_allow_list(found: ErrorCollector, where: str, value: object) -> None:
    if found.is_list(value, where, LIMITS["allow_list"]):
        for position, entry in enumerate(value):
            _check_allowed(found, f"{where}[{position}]", entry)


def _check_allowed(found: ErrorCollector, where: str, entry: object) -> None:
    is_path = isinstance(entry, str) and entry.startswith(("/", f"{GLOB_PREFIX}/"))
    if not found.is_string(entry, where, 1, LIMITS["path" if is_path else "value"]) or is_path:
        return
    # For SHA256: and Sha256: too: taken as a file name, such an entry would silently never match.
    if entry.lower().startswith(DIGEST_PREFIX):
        if not _DIGEST.fullmatch(entry):
            meant = found.meant(nearest_entry, entry) if len(entry) > len(DIGEST_PREFIX) + 32 else ""
            found.add(where, f"must be {DIGEST_PREFIX} and 64 lower-case hexadecimal digits{meant}")
    elif "/" in entry:
        found.add(
            where,
            f"must be a file name without /, a path from /, a pattern from {GLOB_PREFIX}/,"
            f" or {DIGEST_PREFIX} and 64 digits{found.meant(nearest_entry, entry)}",
        )


def _check_action(found: ErrorCollector, where: str, value: object) -> None:
    found.is_choice(value, where, ACTIONS)


def _check_unlisted(found: ErrorCollector, where: str, value: object) -> None:
    found.is_choice(value, where, UNLISTED)


def _check_enabled(found: ErrorCollector, where: str, value: object) -> None:
    if not isinstance(value, bool):
        found.add(where, "must be true or false")


def _check_note(found: ErrorCollector, where: str, value: object) -> None:
    found.is_string(value, where, 0, LIMITS["note"])


def _check_expiry(found: ErrorCollector, where: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and _is_time(value)):
        found.add(where, "must be null or a time as in 2026-12-31T18:00:00Z (RFC 3339)")


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        # To UTC, because an offset may move a time out of the calendar, where it cannot be compared later.
        dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return False
    return True


def _check_severity(found: ErrorCollector, where: str, value: object) -> None:
    found.is_choice(value, where, SEVERITIES)


def _check_dry_run(found: ErrorCollector, where: str, value: object) -> None:
    if not isinstance(value, bool):
        found.add(where, "must be true or false")


def _check_dry_run_blocks(found: ErrorCollector, rule: dict[str, object]) -> None:
    if rule.get("dry_run") is True and rule.get("action") != "block":
        found.add("dry_run", "is for rules with the action block")


def _check_probe_allows_nothing(found: ErrorCollector, rule: dict[str, object]) -> None:
    """A person who runs the very command of a probe looks like one, and chooses what it runs if that is a shell."""
    conditions = rule.get("process_scope")
    allows = rule.get("action") == "ignore" or bool(rule.get("allow_list"))
    if not allows or not isinstance(conditions, list):
        return
    for position, condition in enumerate(conditions):
        if isinstance(condition, dict) and condition.get("property") == "session" and "probe" in _values(condition):
            found.add(
                f"process_scope[{position}].any_of", "must not be probe in a rule that ignores: anybody can run one"
            )


def _values(condition: dict[str, object]) -> list[object]:
    entries = condition.get("any_of")
    return [each.get("value") for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _check_value_total(found: ErrorCollector, rule: dict[str, object]) -> None:
    total = sum(_count_values(rule.get(scope)) for scope in ("resource_scope", "process_scope"))
    if total > LIMITS["scope_values"]:
        found.add("resource_scope", f"{total} values with process_scope, at most {LIMITS['scope_values']} are allowed")


def _count_values(conditions: object) -> int:
    if not isinstance(conditions, list):
        return 0
    lists = [condition.get("any_of") for condition in conditions if isinstance(condition, dict)]
    return sum(len(values) for values in lists if isinstance(values, list))


def _check_account_total(found: ErrorCollector, rules: list[object]) -> None:
    total = sum(_count_accounts(rule.get("cloud_scope")) for rule in rules if isinstance(rule, dict))
    if total > LIMITS["accounts"]:
        found.add("rules", f"{total} accounts in all cloud scopes, at most {LIMITS['accounts']} are allowed")


def _count_accounts(entries: object) -> int:
    if not isinstance(entries, list):
        return 0
    lists = [entry.get("accounts") for entry in entries if isinstance(entry, dict)]
    return sum(len(accounts) for accounts in lists if isinstance(accounts, list))


def _check_unique(rules: list[object]) -> list[DocumentError]:
    errors: list[DocumentError] = []
    for key, taken in (("id", "this id"), ("name", "this name, whatever its letter case,")):
        first: dict[str, int] = {}
        for index, rule in enumerate(rules):
            value = rule.get(key) if isinstance(rule, dict) else None
            if not isinstance(value, str):
                continue
            before = first.setdefault(value.casefold() if key == "name" else value, index)
            if before != index:
                errors.append(DocumentError(_label(rule, index), key, f"rule {before + 1} already has {taken}", index))
    return errors


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
    "severity": _check_severity,
    "dry_run": _check_dry_run,
}
