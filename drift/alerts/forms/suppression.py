"""The panel of a suppression rule: read from what was sent, and filled from a rule or an alert."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from drift.alerts.actions.suppression_rules import SuppressionDraft
from drift.alerts.domain.suppression_match import OPERATORS, PROPERTIES
from drift.alerts.forms.triage import end_of
from drift.alerts.models import Alert, SuppressionRule
from drift.alerts.queries.filters import number
from sensor.names.images import bare_name
from sensor.policy.properties import EQUALS_ONLY


@dataclass(frozen=True)
class Row:
    """One property in the panel: its operator, and its values one a line."""

    name: str
    label: str
    operator: str
    values: str
    operators: Mapping[str, str]


@dataclass
class Form:
    """Everything the panel shows."""

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
    fault: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        given = {each["property"]: each["any_of"] for each in self.conditions}
        return [_row(name, label, given.get(name, [])) for name, label in PROPERTIES.items()]

    def draft(self) -> SuppressionDraft:
        """The rule that the panel holds. Raises Invalid for a date that is none."""
        expires = end_of(self.expires, "expires_at") if self.is_dated else None
        return SuppressionDraft(
            self.name, self.conditions, self.environments, self.enabled, self.reason, self.comment, expires
        )


def _row(name: str, label: str, values: list[dict[str, str]]) -> Row:
    operators = {"equals": OPERATORS["equals"]} if name in EQUALS_ONLY else OPERATORS
    operator = values[0]["operator"] if values else "equals"
    return Row(name, label, operator, "\n".join(value["value"] for value in values), operators)


def read(data: QueryDict) -> Form:
    """The panel as it was sent."""
    return Form(
        name=data.get("name", "").strip(),
        enabled="enabled" in data,
        environments=_numbers(data.getlist("environment")),
        conditions=[each for name in PROPERTIES if (each := _condition(name, data))],
        reason=data.get("reason", ""),
        comment=data.get("comment", "").strip(),
        is_dated=data.get("expiration") == "date",
        expires=data.get("expires", ""),
        rule=next(iter(_numbers([data.get("rule", "")])), None),
        revision=next(iter(_numbers([data.get("revision", "")])), None),
    )


def _numbers(texts: list[str]) -> list[int]:
    return [found for text in texts if (found := number(text)) is not None]


def _condition(name: str, data: QueryDict) -> dict[str, Any] | None:
    values = [line.strip() for line in data.get(f"value-{name}", "").splitlines() if line.strip()]
    operator = data.get(f"operator-{name}", "equals")
    if not values:
        return None
    return {"property": name, "any_of": [{"operator": operator, "value": value} for value in values]}


def of_rule(rule: SuppressionRule) -> Form:
    """The panel that edits a rule."""
    return Form(
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


def of_alert(alert: Alert) -> Form:
    """The panel that would suppress an alert and its like: same file, namespace, image in any tag, environment."""
    wanted = {"process_path": alert.path, "namespace": alert.namespace, "image_name": bare_name(alert.image_name)}
    conditions = [
        {"property": name, "any_of": [{"operator": "equals", "value": value}]}
        for name, value in wanted.items()
        if value
    ]
    name = f"Like alert {alert.pk}: {alert.binary.name}"[:128]
    return Form(name=name, environments=[alert.cluster.environment_id], conditions=conditions)
