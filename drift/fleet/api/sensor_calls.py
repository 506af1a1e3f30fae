"""What sensors call (DESIGN §3, WIRE). `me/events` is the alerts app's."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Final, cast

import msgspec
from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.views import APIView

from drift.fleet.actions import bundles, delivery, enrolment, heartbeats
from drift.fleet.actions import detection_proofs as proofs
from drift.fleet.api import sensor_schema as schema
from drift.fleet.api.request_body import decode
from drift.fleet.api.sensor_authentication import SensorAuthentication, request_sensor
from drift.fleet.domain import push_messages as push
from drift.fleet.errors import FleetError
from drift.fleet.models import Bundle, Sensor
from sensor import wire

KEYS_HEADER: Final = "Driftwatch-Keys"
"""The ids of the signing keys that the asking sensor accepts."""


class EnrolView(APIView):
    """A node becomes a sensor."""

    authentication_classes = ()

    @schema.ENROL
    def post(self, request: Request) -> HttpResponse:
        enrolled = enrolment.enrol_sensor(decode(request, wire.EnrolRequest))
        return _json(_welcome(enrolled), status=201)


class SensorView(APIView):
    """A call that needs a live sensor's credential."""

    authentication_classes = (SensorAuthentication,)


class DesiredPolicyView(SensorView):
    """This sensor's desired version, signed."""

    @schema.POLICY
    def get(self, request: Request) -> HttpResponse:
        sensor = request_sensor(request)
        bundle = _desired(sensor)
        if bundle is None:
            raise FleetError("no_policy", "No version is meant for this sensor yet.", status=404)
        if sensor.applied_number != bundle.version_id:
            delivery.mark_fetched(sensor, bundle.version_id)
        if _names(request.headers.get("If-None-Match", ""), bundle.etag):
            response = HttpResponse(status=304)
        else:
            response = _json(_signed(sensor, bundle, request.headers.get(KEYS_HEADER)))
        response["Vary"] = KEYS_HEADER
        response["ETag"] = f'"{bundle.etag}"'
        return response


class PolicyStatusView(SensorView):
    """The sensor's word on a version."""

    @schema.POLICY_STATUS
    def post(self, request: Request) -> HttpResponse:
        delivery.record_status(request_sensor(request), decode(request, wire.PolicyStatus))
        return HttpResponse(status=204)


class HeartbeatView(SensorView):
    """What the sensor is and counts."""

    @schema.HEARTBEAT
    def post(self, request: Request) -> HttpResponse:
        sensor = request_sensor(request)
        delivery.record_heartbeat(sensor, decode(request, wire.Heartbeat))
        bundle = _desired(sensor)
        return _json(wire.HeartbeatResponse(bundle.etag if bundle else None, proofs.seconds_for(sensor)))


class StreamTicketView(SensorView):
    """Lets the sensor open the push gateway's stream."""

    @schema.STREAM_TICKET
    def post(self, request: Request) -> HttpResponse:
        sensor, asked = request_sensor(request), decode(request, wire.TicketRequest, empty=b"{}")
        heartbeats.store_process(sensor, asked.run_id)
        expires = timezone.now() + dt.timedelta(seconds=push.TICKET_SECONDS)
        ticket = push.issue_ticket(sensor.pk, expires.timestamp(), settings.SECRET_KEY)
        return _json(wire.StreamTicket(settings.STREAM_URL, ticket, expires))


def _welcome(enrolled: enrolment.Enrolled) -> wire.EnrolResponse:
    cluster = enrolled.sensor.cluster
    return wire.EnrolResponse(
        sensor_id=enrolled.sensor.pk,
        credential=enrolled.credential,
        provider=cast("wire.Provider", cluster.environment.provider),
        account=cluster.environment.account,
        cluster_name=cluster.name,
        keys=[bundles.public_half(key) for key in bundles.public_keys()],
        api_url=settings.PUBLIC_URL,
    )


def _desired(sensor: Sensor) -> Bundle | None:
    return bundles.bundle_for(sensor.desired_version_id) if sensor.desired_version_id else None


def _signed(sensor: Sensor, bundle: Bundle, knows: str | None) -> wire.Bundle:
    """With a key that the sensor accepts, as long as there is one; `knows` are their ids with commas between."""
    ids = None if knows is None else {part.strip() for part in knows.split(",")}
    key_id, signature = bundles.signature_for(sensor, bundle, ids)
    return wire.Bundle(key_id, _base64(signature), _base64(bytes(bundle.payload)))


def _names(if_none_match: str, etag: str) -> bool:
    """Whether the header names this ETag: quoted, weak or bare, one or several."""
    return any(part.strip().removeprefix("W/").strip('"') == etag for part in if_none_match.split(","))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _json(shape: msgspec.Struct, status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(shape), content_type="application/json", status=status)
