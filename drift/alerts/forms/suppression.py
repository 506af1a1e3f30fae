"""The panel of a suppression rule: read from a request, or filled from a rule or an alert."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from django.http import QueryDict
from django.utils import timezone

from drift.alerts.actions.suppression_rules import SuppressionDraft
from drift.alerts.domain.command_signals import attack_signals, is_known_whole
from drift.alerts.domain.condition_values import printed_value, read_value
from drift.alerts.domain.suppression_match import COMMAND_LINE, CONTENT, OPERATORS, PROPERTIES, names_content
from drift.alerts.forms.triage import read_day_end
from drift.alerts.models import Alert, SuppressionRule
from drift.web.requests import bounded_int
from sensor import wire
from sensor.names.images import bare_name
from sensor.names.owners import stable_container_name
from sensor.names.visible_text import visible_text
from sensor.policy.properties import EQUALS_ONLY

DAYS: Final = 30
"""How long a rule from an alert lasts, unless its author chooses otherwise."""


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
    covers_new_content: bool = False
    reviews_again: bool = False
    reviewed: str = ""
    alert: int | None = None
    known_contents: int = 0
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
            covers_new_content="covers_new_content" in data,
            reviews_again="reviews_again" in data,
            reviewed=data.get("reviewed", ""),
            alert=bounded_int(data.get("alert", "")),
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
            covers_new_content=rule.covers_new_content,
            known_contents=rule.contents.count(),
        )

    @classmethod
    def from_alert(cls, alert: Alert) -> SuppressionForm:
        """Return the panel that suppresses the same file in the same workload, in any release of it, for DAYS days.

        The narrowest rule that makes sense: whoever wants a wider one takes conditions away. A command line that looks
        like an attack, or whose end is unknown, is suppressed by itself alone.
        """
        event = msgspec.convert(alert.detail.event, wire.Event)
        wanted = {
            "process_path": alert.path,
            CONTENT: alert.binary.sha256,
            "image_name": bare_name(alert.image_name),
            "namespace": alert.namespace,
            "container_name": stable_container_name(alert.workload.owner_kind, alert.workload.container_name),
            "cluster_name": alert.cluster.name,
        }
        conditions = [
            {"property": name, "any_of": [{"operator": "equals", "value": value}]}
            for name, value in wanted.items()
            if value
        ]
        if line := _command_line(event):
            conditions.append({"property": COMMAND_LINE, "any_of": [line]})
        if pods := _pods(alert):
            conditions.append({"property": "pod_name", "any_of": [pods]})
        return cls(
            name=visible_text(f"Like alert {alert.pk}: {alert.binary.name}")[:128],
            environments=[alert.cluster.environment_id],
            conditions=conditions,
            is_dated=True,
            expires=f"{timezone.now() + dt.timedelta(days=DAYS):%Y-%m-%d}",
            alert=alert.pk,
        )

    @property
    def names_content(self) -> bool:
        return names_content(self.conditions)

    @property
    def rows(self) -> list[ConditionRow]:
        given = {each["property"]: each["any_of"] for each in self.conditions}
        return [_condition_row(name, label, given.get(name, [])) for name, label in PROPERTIES.items()]

    def draft(self) -> SuppressionDraft:
        """Return the rule that the panel holds. Raises Invalid where the expiration is not a date."""
        expires = read_day_end(self.expires, "expires_at") if self.is_dated else None
        return SuppressionDraft(
            name=self.name,
            conditions=self.conditions,
            environments=self.environments,
            enabled=self.enabled,
            reason=self.reason,
            comment=self.comment,
            expires_at=expires,
            covers_new_content=self.covers_new_content,
            reviews_again=self.reviews_again,
        )


def _command_line(event: wire.Event) -> dict[str, str] | None:
    """Return the value that matches an event's command line; None where a rule matches it without naming it."""
    line = shlex.join(event.process.argv)[: wire.MAX_ARGV_BYTES]
    if is_known_whole(event):
        return {"operator": "equals", "value": line} if attack_signals(event) else None
    return {"operator": "starts_with", "value": line}


def _pods(alert: Alert) -> dict[str, str] | None:
    """Return the value that matches the pods of the alert's workload; None where its pod does not bear its name."""
    owner, pod = alert.workload.owner_name, alert.pod_name
    if owner and pod == owner:
        return {"operator": "equals", "value": pod}
    if owner and pod.startswith(f"{owner}-"):
        return {"operator": "starts_with", "value": f"{owner}-"}
    return None


def _condition(name: str, data: QueryDict) -> dict[str, Any] | None:
    lines = data.get(f"value-{name}", "").splitlines()
    values = [read_value(line.strip()) for line in lines if line.strip()]
    operator = data.get(f"operator-{name}", "equals")
    if not values:
        return None
    return {"property": name, "any_of": [{"operator": operator, "value": value} for value in values]}


def _condition_row(name: str, label: str, values: list[dict[str, str]]) -> ConditionRow:
    operators = {"equals": OPERATORS["equals"]} if name in EQUALS_ONLY else OPERATORS
    operator = values[0]["operator"] if values else "equals"
    return ConditionRow(name, label, operator, "\n".join(printed_value(each["value"]) for each in values), operators)
