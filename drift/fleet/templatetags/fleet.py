"""Template tags and filters for sensors, deliveries and the tree of environments."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

from django import template
from django.template import Context
from django.template.loader import get_template
from django.utils.safestring import SafeString

from drift.fleet.models import Delivery, Proof, Sensor, SensorState
from drift.fleet.queries import sensors
from drift.fleet.queries.estate_tree import EnvironmentLine
from drift.fleet.queries.rollouts import OPEN_STATES

register = template.Library()


@register.simple_tag(takes_context=True)
def environment_row(context: Context, line: EnvironmentLine) -> SafeString:
    """Render an environment's row of the tree, without the cells that change with every heartbeat."""
    environment, coverage = line.environment, line.coverage
    return _part(
        "fleet/settings/tree_environment.html",
        pk=environment.pk,
        name=environment.name,
        account=environment.account,
        on=environment.sensor_enabled,
        retired=environment.retired_at is not None,
        count=line.count,
        is_open=line.is_open,
        sensors=coverage.sensors,
        offline=coverage.offline,
        lagging=coverage.lagging,
        applied=coverage.applied,
        proven=coverage.proven if environment.proved_since else None,
        can_edit=context["can_edit"],
    )


@register.simple_tag(takes_context=True)
def environment_actions(context: Context, line: EnvironmentLine) -> SafeString | str:
    """Render the buttons of an administrator; nothing for other users."""
    row = line.environment
    retired = row.retired_at is not None
    return (
        _part("fleet/settings/tree_actions.html", pk=row.pk, name=row.name, retired=retired)
        if context["can_edit"]
        else ""
    )


@lru_cache(maxsize=4_096)
def _part(template_name: str, **facts: str | int | bool | None) -> SafeString:
    # The tree shows hundreds of these, every few seconds and mostly unchanged.
    return SafeString(get_template(template_name).render(facts).strip())


@register.filter
def lag(sensor: Sensor) -> int:
    """Return by how many versions a live sensor is behind; 0 for sensors that ended."""
    return sensors.lag(sensor) if sensor.state == SensorState.LIVE else 0


@register.filter
def offline(sensor: Sensor) -> bool:
    """Whether it missed its last heartbeats."""
    return sensors.is_offline(sensor)


@register.filter
def last_seen(sensor: Sensor) -> dt.datetime | None:
    """Return when its last heartbeat arrived; None before the first."""
    status = getattr(sensor, "status", None)
    return status.last_seen_at if status else None


@register.filter
def proof(sensor: Sensor) -> Proof | None:
    """Return its last proof of detection; None before the first."""
    return getattr(sensor, "proof", None)


@register.filter
def reason(delivery: Delivery) -> str:
    """Return why the version is not applied there, as far as that is known."""
    if delivery.error:
        return delivery.error
    if delivery.state not in OPEN_STATES:
        return ""
    if not delivery.sensor.cluster.environment.sensor_enabled:
        return "The sensor is switched off in this environment"
    return "The sensor is offline" if sensors.is_offline(delivery.sensor) else ""


@register.filter
def seconds(time: dt.timedelta | float | None) -> str:
    """Return `0.8 s`, `12 s`, `3 min 5 s` or `2 h 4 min`; a dash for None."""
    if time is None:
        return "–"
    whole = time if isinstance(time, float) else time.total_seconds()
    if whole < 10:
        return f"{whole:.1f} s"
    minutes, left = divmod(round(whole), 60)
    if not minutes:
        return f"{left} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {left} s"


@register.filter
def counter(counters: dict[str, int] | str, name: str) -> int:
    """Return one of a sensor's counters; 0 before its first heartbeat."""
    return int(counters.get(name, 0)) if isinstance(counters, dict) else 0
