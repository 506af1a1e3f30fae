"""What the fleet's templates say of sensors and deliveries."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

from django import template
from django.template import Context
from django.template.loader import get_template
from django.utils.safestring import SafeString

from drift.fleet.models import Delivery, DeliveryState, Proof, Sensor, SensorState
from drift.fleet.queries import sensors
from drift.fleet.queries.estate_tree import EnvironmentLine

register = template.Library()


@register.simple_tag(takes_context=True)
def environment_row(context: Context, line: EnvironmentLine) -> SafeString:
    """An environment's row of the tree, up to what changes with every heartbeat."""
    environment, coverage = line.environment, line.coverage
    return _part(
        "fleet/tree_environment.html",
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
    """What an administrator may do to it; nothing for others."""
    row = line.environment
    retired = row.retired_at is not None
    return _part("fleet/tree_actions.html", pk=row.pk, name=row.name, retired=retired) if context["can_edit"] else ""


@lru_cache(maxsize=4_096)
def _part(template_name: str, **facts: str | int | bool | None) -> SafeString:
    """What `facts` alone decide, rendered once: the tree shows hundreds, and the same every few seconds."""
    return SafeString(get_template(template_name).render(facts).strip())


@register.filter
def lag(sensor: Sensor) -> int:
    """Versions between what it should run and what it runs; ended sensors owe none."""
    return sensors.lag(sensor) if sensor.state == SensorState.LIVE else 0


@register.filter
def offline(sensor: Sensor) -> bool:
    """Whether it has missed its last heartbeats."""
    return sensors.is_offline(sensor)


@register.filter
def last_seen(sensor: Sensor) -> dt.datetime | None:
    """When its last heartbeat came; None where none has."""
    status = getattr(sensor, "status", None)
    return status.last_seen_at if status else None


@register.filter
def proof(sensor: Sensor) -> Proof | None:
    """Its last proof of detection; None where none came through so far."""
    return getattr(sensor, "proof", None)


@register.filter
def why(delivery: Delivery) -> str:
    """Why this version is not applied there, where something is known."""
    if delivery.error:
        return delivery.error
    waits = delivery.state in {DeliveryState.PENDING, DeliveryState.FETCHED}
    if not waits:
        return ""
    if not delivery.sensor.cluster.environment.sensor_enabled:
        return "The Defender sensor is off in this environment"
    return "The sensor is offline" if sensors.is_offline(delivery.sensor) else ""


@register.filter
def seconds(time: dt.timedelta | float | None) -> str:
    """`0.8 s`, `12 s`, `3 min 5 s`, `2 h 4 min`; a dash for None. A number is in seconds."""
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
    """One of a sensor's counters; 0 where it has not said."""
    return int(counters.get(name, 0)) if isinstance(counters, dict) else 0
