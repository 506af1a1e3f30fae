"""JSON schema of a policy document, from the terms and limits that sensor.policy checks.

What a schema cannot state, the check still does: ids and names are unique, values and accounts have totals, and a
condition's operators depend on its property.
"""

from __future__ import annotations

from typing import Any, Final

from sensor.names.visible_text import visible_pattern
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
from sensor.policy.properties import OPERATORS, TABLE, Property, Scope

NO_NUL: Final = "[^\\u0000]"


def _text(most: int, least: int = 1, pattern: str = rf"^{NO_NUL}*$") -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most, "pattern": pattern}


def _choice(values: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def _list(items: dict[str, Any], most: int | None = None, least: int = 0) -> dict[str, Any]:
    bounds = {**({"minItems": least} if least else {}), **({"maxItems": most} if most else {})}
    return {"type": "array", "items": items, **bounds}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _with_dry_run(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a rule, or default rule, that is only a dry run where it blocks."""
    schema["properties"]["dry_run"] = {"type": "boolean", "description": "Only with the action block."}
    blocks, is_none = {"action": _choice(("block",))}, {"dry_run": {"type": "boolean", "enum": [False]}}
    return {**schema, "anyOf": [{"properties": blocks}, {"properties": is_none}]}


def _conditions(scope: Scope) -> dict[str, Any]:
    properties = [each for each in TABLE if each.scope == scope]
    kinds: dict[tuple[object, ...], list[Property]] = {}
    for each in properties:
        kinds.setdefault((each.operators, each.form == "labels", each.values), []).append(each)
    options = [_condition(alike) for alike in kinds.values()]
    return _list({"oneOf": options} if len(options) > 1 else options[0], LIMITS["scope_values"])


def _condition(properties: list[Property]) -> dict[str, Any]:
    """Return the schema of a condition on any of these properties, which are compared alike."""
    first = properties[0]
    value = _choice(first.values) if first.values else _text(LIMITS["value"])
    entry = _object({"operator": _choice(first.operators), "value": value})
    if first.form == "labels":
        partial = tuple(each for each in OPERATORS if each != "equals")
        pair = _text(LIMITS["value"], pattern=rf"^{NO_NUL}*={NO_NUL}*$")
        entry = {
            "oneOf": [
                _object({"operator": _choice(("equals",)), "value": pair}),
                _object({"operator": _choice(partial), "value": value}),
            ]
        }
    return _object(
        {
            "property": _choice(tuple(each.name for each in properties)),
            "any_of": _list(entry, LIMITS["scope_values"], 1),
        }
    )


def _allowed() -> dict[str, Any]:
    """Return the schema of an entry of an allow list: a path, a pattern, a digest, or a file name."""
    name = (
        rf"^(?!{''.join(f'[{each}{each.upper()}]' if each.isalpha() else each for each in DIGEST_PREFIX)})[^/\u0000]+$"
    )
    return {
        "oneOf": [
            _text(LIMITS["path"], pattern=rf"^(?:{GLOB_PREFIX})?/{NO_NUL}*$"),
            {"type": "string", "pattern": rf"^{DIGEST_PREFIX}[0-9a-f]{{64}}$"},
            _text(LIMITS["value"], pattern=name),
        ]
    }


def _rule() -> dict[str, Any]:
    letter = visible_pattern()
    not_blank = rf"^{letter}*(?!\s){letter}{letter}*$"
    account = _text(LIMITS["account"])
    provider = _object({"provider": _choice(PROVIDERS)}, {"accounts": _list(account, LIMITS["accounts"], 1)})
    schema = _object(
        {
            "id": _text(LIMITS["id"], pattern=rf"^(?!{DEFAULT_RULE}$){NO_NUL}+$"),
            "name": _text(LIMITS["name"], pattern=not_blank),
            "action": _choice(ACTIONS),
            "scope_description": _text(LIMITS["scope_description"], pattern=not_blank),
            "cloud_scope": _list(provider, least=1),
            "resource_scope": _conditions("resource_scope"),
            "allow_list": _list(_allowed(), LIMITS["allow_list"]),
        },
        {
            "enabled": {"type": "boolean"},
            "unlisted": _choice(UNLISTED),
            "process_scope": _conditions("process_scope"),
            "expires_at": {"type": "string", "format": "date-time", "nullable": True},
            "severity": _choice(SEVERITIES),
            "note": _text(LIMITS["note"], 0, f"^{visible_pattern(several_lines=True)}*$"),
        },
    )
    return _with_dry_run(schema)


NAME: Final = "PolicyDocument"
REFERENCE: Final = {"$ref": f"#/components/schemas/{NAME}"}
DOCUMENT: Final = {
    **_object(
        {
            "schema": {"type": "integer", "enum": [SCHEMA]},
            "rules": _list(_rule(), LIMITS["rules"]),
            "default": _with_dry_run(_object({"action": _choice(ACTIONS)})),
        },
        {"detect": _list(_choice(KINDS), LIMITS["detect"])},
    ),
    "description": (
        "docs/policy-semantics.md. Beyond this schema, ids and names of rules must be unique, and a rule's values"
        f" ({LIMITS['scope_values']}) and all accounts ({LIMITS['accounts']:,}) have a total."
    ),
}
