"""Sensors whose events lack what a rule looks at: none of its conditions on that matches them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from accounts.models import User
from drift.fleet.queries.lacking_sensors import count_lacking
from sensor.policy.properties import BY_NAME


class UnreportedFact(NamedTuple):
    """The labels of properties, and how many of the live sensors do not report them."""

    labels: str
    lacking: int
    total: int


def unreported_facts(user: User, rule: Mapping[str, Any]) -> list[UnreportedFact]:
    """Return what the rule's conditions look at and some live sensors do not report, of those that the user sees."""
    labels: dict[str, list[str]] = {}
    for condition in rule["process_scope"]:
        compared = BY_NAME[condition["property"]]
        if compared.capability and compared.label not in labels.setdefault(compared.capability, []):
            labels[compared.capability].append(compared.label)
    counted = [(", ".join(names), *count_lacking(user, capability)) for capability, names in labels.items()]
    return [UnreportedFact(*each) for each in counted if each[1]]
