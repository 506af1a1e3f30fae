"""Who calls: a sensor, by the credential that it got when it enrolled."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connection, models
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import tokens
from drift.fleet.actions.sensors import revive_sensor
from drift.fleet.errors import InvalidCredential, environment_off, sensor_revoked
from drift.fleet.models import Cluster, Environment, Sensor, SensorState

_LOADED: tuple[type[models.Model], ...] = (Sensor, Cluster, Environment)
_NAMES = [[field.attname for field in model._meta.concrete_fields] for model in _LOADED]
_COLUMNS = [f'{model._meta.db_table}."{field.column}"' for model in _LOADED for field in model._meta.concrete_fields]
_BY_PREFIX = f"""
SELECT {", ".join(_COLUMNS)} FROM fleet_sensor
JOIN fleet_cluster ON fleet_cluster.id = fleet_sensor.cluster_id
JOIN fleet_environment ON fleet_environment.id = fleet_cluster.environment_id
WHERE fleet_sensor.credential_prefix = %s
"""  # noqa: S608 - columns of our own models
"""Every call of every sensor begins with this. The ORM took longer to build the query than PostgreSQL to answer it."""


class SensorAuthentication(BaseAuthentication):
    """Makes `request.auth` the live Sensor, its cluster and environment loaded with it.

    Raises 401 `not_authenticated`, 403 `sensor_revoked` (final) or 403 `environment_off`
    (DESIGN: What a sensor does with an answer).
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Sensor]:
        text = tokens.bearer_token(request.headers.get("Authorization", ""))
        return AnonymousUser(), authenticated_sensor(text or "")

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="sensors"'


def authenticated_sensor(credential: str) -> Sensor:
    """The live sensor whose credential this is; raises as SensorAuthentication does."""
    sensor = _of_prefix(tokens.public_prefix(credential, tokens.SENSOR))
    if sensor is None or not tokens.matches(credential, sensor.credential_digest):
        raise InvalidCredential
    if sensor.state == SensorState.REVOKED:
        raise sensor_revoked()
    if sensor.state == SensorState.RELEASED:
        raise InvalidCredential
    environment = sensor.cluster.environment
    if not environment.sensor_enabled or environment.retired_at:
        raise environment_off()
    if sensor.state == SensorState.RETIRED and not revive_sensor(sensor):
        raise InvalidCredential
    return sensor


def _of_prefix(prefix: str | None) -> Sensor | None:
    """The sensor with its cluster and environment, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_PREFIX, [prefix])
        row = cursor.fetchone()
    if row is None:
        return None
    values = iter(row)
    sensor, cluster, environment = (
        model.from_db(connection.alias, names, [next(values) for _ in names])
        for model, names in zip(_LOADED, _NAMES, strict=True)
    )
    return _joined(sensor, cluster, environment)


def _joined(sensor: Any, cluster: Any, environment: Any) -> Sensor:
    cluster.environment, sensor.cluster = environment, cluster
    loaded: Sensor = sensor
    return loaded


def request_sensor(request: Request) -> Sensor:
    """The sensor that SensorAuthentication found."""
    sensor = request.auth
    if not isinstance(sensor, Sensor):
        raise InvalidCredential
    return sensor
