"""The panel of a suppression rule: read from a request, or filled from a rule or an alert."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from accounts.models import User
from drift.alerts.actions.suppression_rules import SuppressionDraft
from drift.alerts.domain.suppression_match import OPERATORS, PROPERTIES
from drift.alerts.forms.triage import read_day_end
from drift.alerts.models import Alert, SuppressionRule
from drift.web.requests import bounded_int
from sensor.names.images import bare_name
from sensor.names.visible_text import visible_text
from sensor.policy.properties import EQUALS_ONLY


@dataclass(frozen=True)
class ConditionRow:
    """One property in the panel: its operator, and its values, one per line."""

    name: str
    label: str
    operator: str
    values: str
    operators: Mapping[str, str]


@dataclass
class SuppressionForm:
    """Everything that the panel shows. `errors`: a message by field; "form" for the whole panel."""

    name: str = ""
    enabled: bool = True
    environments: list[int] = field(default_factory=list)
    conditions: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "expected"
    comment: str = ""
    is_dated: bool = False
    expires: str = ""
    rule: int | None = None
    revision: int | None = None
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, data: QueryDict) -> SuppressionForm:
        """Return the panel as it was sent."""
        return cls(
            name=data.get("name", "").strip(),
            enabled="enabled" in data,
            environments=[pk for digits in data.getlist("environment") if (pk := bounded_int(digits)) is not None],
            conditions=[each for name in PROPERTIES if (each := _condition(name, data))],
            reason=data.get("reason", ""),
            comment=data.get("comment", "").strip(),
            is_dated=data.get("expiration") == "date",
            expires=data.get("expires", ""),
            rule=bounded_int(data.get("rule", "")),
            revision=bounded_int(data.get("revision", "")),
        )

    @classmethod
    def from_rule(cls, rule: SuppressionRule) -> SuppressionForm:
        """Return the panel that edits a rule."""
        return cls(
            name=rule.name,
            enabled=rule.enabled,
            environments=[each.pk for each in rule.environments.all()],
            conditions=rule.conditions,
            reason=rule.reason,
            comment=rule.comment,
            is_dated=rule.expires_at is not None,
            expires=f"{rule.expires_at - dt.timedelta(days=1):%Y-%m-%d}" if rule.expires_at else "",
            rule=rule.pk,
            revision=rule.revision,
        )

    @classmethod
    def from_alert(cls, user: User, alert: Alert) -> SuppressionForm:
        """Return the panel that suppresses similar alerts: same file, namespace, subscription, and image in any tag.

        For a user who does not see the whole subscription, also the same cluster.
        """
        wanted = {"process_path": alert.path, "namespace": alert.namespace, "image_name": bare_name(alert.image_name)}
        if any(alert.cluster.environment_id not in part.environments for part in user.scope.parts):
            wanted["cluster_name"] = alert.cluster.name
        conditions = [
            {"property": name, "any_of": [{"operator": "equals", "value": value}]}
            for name, value in wanted.items()
            if value
        ]
        name = visible_text(f"Like alert {alert.pk}: {alert.binary.name}")[:128]
        return cls(name=name, environments=[alert.cluster.environment_id], conditions=conditions)

    @property
    def rows(self) -> list[ConditionRow]:
        given = {each["property"]: each["any_of"] for each in self.conditions}
        return [_condition_row(name, label, given.get(name, [])) for name, label in PROPERTIES.items()]

    def draft(self) -> SuppressionDraft:
        """Return the rule that the panel holds. Raises Invalid where the expiration is not a date."""
        expires = read_day_end(self.expires, "expires_at") if self.is_dated else None
        return SuppressionDraft(
            self.name, self.conditions, self.environments, self.enabled, self.reason, self.comment, expires
        )


def _condition(name: str, data: QueryDict) -> dict[str, Any] | None:
    values = [line.strip() for line in data.get(f"value-{name}", "").splitlines() if line.strip()]
    operator = data.get(f"operator-{name}", "equals")
    if not values:
        return None
    return {"property": name, "any_of": [{"operator": operator, "value": value} for value in values]}


def _condition_row(name: str, label: str, values: list[dict[str, str]]) -> ConditionRow:
    operators = {"equals": OPERATORS["equals"]} if name in EQUALS_ONLY else OPERATORS
    operator = values[0]["operator"] if values else "equals"
    return ConditionRow(name, label, operator, "\n".join(value["value"] for value in values), operators)
