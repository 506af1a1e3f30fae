"""One rule of the starter pack, and how it is written down."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from drift.policy.domain.edits import Rule
from sensor.policy import PROVIDERS

OWN_REGISTRY: Final = " If you pull from your own mirror, replace the registry's name by the mirror's."


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
    below: tuple[tuple[str, ...], ...] = (),
    allow: tuple[str, ...] = (),
    action: str = "ignore",
) -> Rule:
    """Return a rule; `resource` and `process` map "property operator" to values, any of which may hold.

    `below` are names of programs above the writer: one of each tuple must be there.
    """
    return {
        "name": name,
        "action": action,
        "scope_description": scope,
        "cloud_scope": [{"provider": provider} for provider in PROVIDERS],
        "resource_scope": _conditions(resource),
        "allow_list": list(allow),
        "enabled": False,
        "unlisted": "next_rule",
        "process_scope": [
            *_conditions(process or {}),
            *(each for names in below for each in _conditions({"written_by_parent equals": list(names)})),
        ],
        "expires_at": None,
        "note": note,
    }


def _conditions(scope: dict[str, list[str]]) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, str]]] = {}
    for property_operator, values in scope.items():
        name, _, operator = property_operator.partition(" ")
        found.setdefault(name, []).extend({"operator": operator, "value": value} for value in values)
    return [{"property": name, "any_of": any_of} for name, any_of in found.items()]
