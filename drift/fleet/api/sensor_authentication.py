"""Authentication of sensors by the credential that they received when they enrolled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

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
# Every sensor call starts with this query. The ORM takes longer to build it than PostgreSQL to answer it.
_BY_PREFIX = f"""
SELECT {", ".join(_COLUMNS)} FROM fleet_sensor
JOIN fleet_cluster ON fleet_cluster.id = fleet_sensor.cluster_id
JOIN fleet_environment ON fleet_environment.id = fleet_cluster.environment_id
WHERE fleet_sensor.credential_prefix = %s
"""  # noqa: S608 - columns of our own models


class SensorAuthentication(BaseAuthentication):
    """Sets `request.auth` to the live Sensor, with its cluster and environment.

    Raises 401 `not_authenticated`, 403 `sensor_revoked` or 403 `environment_off`
    (docs/delivery.md#what-a-sensor-does-with-a-response).
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Sensor]:
        credential = tokens.bearer_token(request.headers.get("Authorization", ""))
        return AnonymousUser(), authenticated_sensor(credential or "")

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="sensors"'


def authenticated_sensor(credential: str) -> Sensor:
    """Return the live sensor with this credential; raise as SensorAuthentication does."""
    sensor = _sensor_with_prefix(tokens.public_prefix(credential, tokens.SENSOR))
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


def _sensor_with_prefix(prefix: str | None) -> Sensor | None:
    """Return the sensor with its cluster and environment, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_PREFIX, [prefix])
        row = cursor.fetchone()
    if row is None:
        return None
    values = iter(row)
    # Any: `from_db` is typed for the base class Model, which has no `cluster` or `environment`.
    loaded: Iterator[Any] = (
        model.from_db(connection.alias, names, [next(values) for _ in names])
        for model, names in zip(_LOADED, _NAMES, strict=True)
    )
    sensor, cluster, environment = loaded
    cluster.environment, sensor.cluster = environment, cluster
    return cast("Sensor", sensor)


def request_sensor(request: Request) -> Sensor:
    """Return the sensor that SensorAuthentication found."""
    sensor = request.auth
    if not isinstance(sensor, Sensor):
        raise InvalidCredential
    return sensor
