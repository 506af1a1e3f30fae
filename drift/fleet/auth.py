"""Who calls: a sensor, by the credential that it got when it enrolled."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import tokens
from drift.fleet.errors import NotAuthenticated, environment_off, sensor_revoked
from drift.fleet.models import Sensor, SensorState


class SensorAuthentication(BaseAuthentication):
    """Makes `request.auth` the live Sensor, its cluster and environment loaded with it.

    Raises 401 `not_authenticated`, 403 `sensor_revoked` (final) or 403 `environment_off`
    (DESIGN: What a sensor does with an answer).
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Sensor]:
        text = tokens.bearer(request.headers.get("Authorization", ""))
        return AnonymousUser(), sensor_of(text or "")

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="sensors"'


def sensor_of(credential: str) -> Sensor:
    """The live sensor whose credential this is; raises as SensorAuthentication does."""
    prefix = tokens.prefix_of(credential, tokens.SENSOR)
    rows = Sensor.objects.select_related("cluster__environment")
    sensor: Sensor | None = rows.filter(credential_prefix=prefix).first()
    if sensor is None or not tokens.matches(credential, sensor.credential_digest):
        raise NotAuthenticated
    if sensor.state == SensorState.REVOKED:
        raise sensor_revoked()
    if sensor.state != SensorState.LIVE:
        raise NotAuthenticated
    environment = sensor.cluster.environment
    if not environment.sensor_enabled or environment.retired_at:
        raise environment_off()
    return sensor


def sensor_in(request: Request) -> Sensor:
    """The sensor that SensorAuthentication found."""
    sensor = request.auth
    if not isinstance(sensor, Sensor):
        raise NotAuthenticated
    return sensor
