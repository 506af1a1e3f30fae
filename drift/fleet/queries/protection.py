"""What an administrator has taken out of protection: environments switched off, and all blocking stopped."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q

from accounts.models import Viewer
from drift.fleet.models import Environment, Sensor, SensorState
from drift.fleet.queries.sensors import ACTIVE, visible_active_sensors
from drift.policy.domain.diff import DEFAULT_NAME
from drift.policy.domain.edits import Document
from drift.policy.queries.versions import latest_version
from sensor.policy.decisions import blocking_rules

NAMED = 3
"""Environments that are named where some are off."""


@dataclass(frozen=True)
class SwitchedOff:
    """The environments that are switched off, by name, and how many live sensors they have: none protects anything."""

    names: list[str]
    sensors: int

    @property
    def line(self) -> str:
        """`Sensors are switched off in Payments and 2 more environments: 12 sensors are not protected`."""
        named, rest = self.names[:NAMED], len(self.names) - NAMED
        places = ", ".join(named) + (f" and {rest} more environment{'' if rest == 1 else 's'}" if rest > 0 else "")
        nodes = "1 sensor is" if self.sensors == 1 else f"{self.sensors} sensors are"
        return f"Sensors are switched off in {places}: {nodes} not protected"


def switched_off(viewer: Viewer) -> SwitchedOff | None:
    """Return the environments that are off, as far as the viewer sees them, in one query; None where all are on."""
    live = Count("clusters__sensors", filter=Q(clusters__sensors__state=SensorState.LIVE))
    rows = Environment.objects.visible_to(viewer).filter(sensor_enabled=False, retired_at=None)
    found = list(rows.annotate(live=live).order_by("name").values_list("name", "live"))
    return SwitchedOff([name for name, _ in found], sum(count for _, count in found)) if found else None


@dataclass(frozen=True)
class Reach:
    """What blocks: the names of the latest version's blocking rules, the default rule's too, and the able sensors."""

    rules: list[str]
    able: int
    sensors: int


def blocking_reach(viewer: Viewer) -> Reach:
    """Return what stops with all blocking, in two queries."""
    counts = visible_active_sensors(viewer).aggregate(
        all=Count("pk"), able=Count("pk", filter=Q(status__capabilities__contains=["block"]))
    )
    return Reach(blocking_rule_names(latest_version().document), counts["able"], counts["all"])


def blocking_rule_names(document: Document) -> list[str]:
    """Return the names of the enabled rules that block, the default rule among them; those of a dry run do not."""
    return [rule.get("name", DEFAULT_NAME) for rule in blocking_rules(document)]


@dataclass(frozen=True)
class Stop:
    """What switching an environment off would stop: its clusters, its live sensors, and the rules that block there."""

    clusters: int
    sensors: int
    rules: list[str]


def environment_stop(viewer: Viewer, environment: Environment) -> Stop:
    """Return what stops when the environment is switched off."""
    live = Sensor.objects.visible_to(viewer).filter(ACTIVE, cluster__environment=environment)
    counts = live.aggregate(clusters=Count("cluster", distinct=True), sensors=Count("pk"))
    document = latest_version().document
    here = [rule for rule in document["rules"] if any(_covers(entry, environment) for entry in rule["cloud_scope"])]
    return Stop(counts["clusters"], counts["sensors"], blocking_rule_names({**document, "rules": here}))


def _covers(entry: dict[str, object], environment: Environment) -> bool:
    accounts = entry.get("accounts", [environment.account])
    return entry["provider"] == environment.provider and isinstance(accounts, list) and environment.account in accounts
