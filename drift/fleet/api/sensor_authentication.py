"""Authentication of sensors by the credential that they received when they enrolled."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import tokens
from accounts.prepared_rows import columns, instances, prepared_row
from drift.fleet.actions.sensors import renew_credential_digest, revive_sensor
from drift.fleet.errors import InvalidCredential, environment_off, sensor_revoked
from drift.fleet.models import Cluster, Environment, Sensor, SensorState

_BY_PREFIX = f"""
SELECT {columns(Sensor, Cluster, Environment)} FROM fleet_sensor
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
    if tokens.is_outdated(credential, sensor.credential_digest):
        renew_credential_digest(sensor, credential)
    return sensor


def _sensor_with_prefix(prefix: str | None) -> Sensor | None:
    """Return the sensor with its cluster and environment, in one query."""
    row = prepared_row(_BY_PREFIX, [prefix])
    if row is None:
        return None
    sensor, cluster, environment = instances(row, Sensor, Cluster, Environment)
    cluster.environment, sensor.cluster = environment, cluster
    return cast("Sensor", sensor)


def request_sensor(request: Request) -> Sensor:
    """Return the sensor that SensorAuthentication found."""
    sensor = request.auth
    if not isinstance(sensor, Sensor):
        raise InvalidCredential
    return sensor
