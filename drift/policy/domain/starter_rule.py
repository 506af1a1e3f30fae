"""One rule of the starter pack, and how it is written down."""

from __future__ import annotations

from typing import Any, NamedTuple

from drift.policy.domain.edits import Rule
from sensor.policy import PROVIDERS


class StarterRule(NamedTuple):
    """A rule of the pack: `key` names it in forms, `group` is its heading."""

    key: str
    group: str
    rule: Rule


def starter_rule(
    name: str,
    scope: str,
    note: str,
    *,
    resource: dict[str, list[str]],
    process: dict[str, list[str]] | None = None,
    allow: tuple[str, ...] = (),
    action: str = "ignore",
) -> Rule:
    """Return a rule; `resource` and `process` map "property operator" to values."""
    return {
        "name": name,
        "action": action,
        "scope_description": scope,
        "cloud_scope": [{"provider": provider} for provider in PROVIDERS],
        "resource_scope": [_condition(*each) for each in resource.items()],
        "allow_list": list(allow),
        "enabled": False,
        "unlisted": "next_rule",
        "process_scope": [_condition(*each) for each in (process or {}).items()],
        "expires_at": None,
        "note": note,
    }


def _condition(property_operator: str, values: list[str]) -> dict[str, Any]:
    name, _, operator = property_operator.partition(" ")
    return {"property": name, "any_of": [{"operator": operator, "value": value} for value in values]}
