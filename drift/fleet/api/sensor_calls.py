"""The calls of sensors (docs/wire.md#calls). `sensors/me/events` is in `drift.alerts.api.events`."""

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

from accounts.client_address import client_address
from drift.fleet.actions import bundles, delivery, enrolment, heartbeats, number_proofs
from drift.fleet.api import sensor_schema
from drift.fleet.api.request_body import decode_body
from drift.fleet.api.sensor_authentication import SensorAuthentication, request_sensor
from drift.fleet.domain.push_messages import TICKET_SECONDS, issue_ticket
from drift.fleet.errors import FleetError
from drift.fleet.models import Bundle, Sensor
from drift.fleet.queries.bundles import needs_proof, sensor_signature
from drift.fleet.queries.sensors import canary_seconds
from sensor import wire

KEYS_HEADER: Final = "Driftwatch-Keys"
"""The ids of the signing keys that the sensor accepts."""

MAX_PROOF: Final = 16 * 1024 * 1024
"""Bytes of a bundle: in base64 a third more than the policy's document."""


class EnrolView(APIView):
    """Enrols a node: it becomes a sensor with a credential."""

    authentication_classes = ()

    @sensor_schema.ENROL
    def post(self, request: Request) -> HttpResponse:
        enrolled = enrolment.enrol_sensor(decode_body(request, wire.EnrolRequest), client_address(request))
        cluster = enrolled.sensor.cluster
        response = wire.EnrolResponse(
            sensor_id=enrolled.sensor.pk,
            credential=enrolled.credential,
            provider=cast("wire.Provider", cluster.environment.provider),
            account=cluster.environment.account,
            cluster_name=cluster.name,
            keys=bundles.public_keys(),
            api_url=settings.PUBLIC_URL,
        )
        return _json(response, status=201)


class SensorView(APIView):
    """A call that needs the credential of a live sensor."""

    authentication_classes = (SensorAuthentication,)


class DesiredPolicyView(SensorView):
    """Returns this sensor's desired version, signed."""

    @sensor_schema.POLICY
    def get(self, request: Request) -> HttpResponse:
        sensor = request_sensor(request)
        bundle = _desired_bundle(sensor)
        if bundle is None:
            raise FleetError("no_policy", "No version has been assigned to this sensor yet.", status=404)
        if sensor.applied_number != bundle.version_id:
            delivery.mark_fetched(sensor, bundle.version_id)
        if _has_etag(request.headers.get("If-None-Match", ""), bundle.etag):
            response = HttpResponse(status=304)
        else:
            response = _json(_wire_bundle(sensor, bundle, request.headers.get(KEYS_HEADER)))
        response["Vary"] = KEYS_HEADER
        response["ETag"] = f'"{bundle.etag}"'
        return response


class PolicyStatusView(SensorView):
    """Records that the sensor applied or rejected a version."""

    @sensor_schema.POLICY_STATUS
    def post(self, request: Request) -> HttpResponse:
        delivery.record_status(request_sensor(request), decode_body(request, wire.PolicyStatus))
        return HttpResponse(status=204)


class HeartbeatView(SensorView):
    """Stores a heartbeat; the response names the bundle that the sensor should have."""

    @sensor_schema.HEARTBEAT
    def post(self, request: Request) -> HttpResponse:
        sensor = request_sensor(request)
        beat = decode_body(request, wire.Heartbeat)
        delivery.record_heartbeat(sensor, beat)
        bundle = _desired_bundle(sensor)
        proof = needs_proof(beat.applied_number or 0, beat.applied_etag or "")
        wants_execs = sensor.cluster.environment.exec_history
        etag = bundle.etag if bundle else None
        return _json(wire.HeartbeatResponse(etag, canary_seconds(sensor), proof, wants_execs))


class NumberProofView(SensorView):
    """Takes the bundle that a sensor runs and this portal never issued."""

    @sensor_schema.NUMBER_PROOF
    def post(self, request: Request) -> HttpResponse:
        number_proofs.record_number_proof(request_sensor(request), decode_body(request, wire.SignedPolicy, MAX_PROOF))
        return HttpResponse(status=204)


class StreamTicketView(SensorView):
    """Issues a ticket with which the sensor opens the push gateway's stream."""

    @sensor_schema.STREAM_TICKET
    def post(self, request: Request) -> HttpResponse:
        sensor, body = request_sensor(request), decode_body(request, wire.TicketRequest, empty=b"{}")
        heartbeats.store_process(sensor, body.run_id)
        expires = timezone.now() + dt.timedelta(seconds=TICKET_SECONDS)
        ticket = issue_ticket(sensor.pk, expires.timestamp(), settings.SECRET_KEY)
        return _json(wire.StreamTicket(settings.STREAM_URL, ticket, expires))


def _desired_bundle(sensor: Sensor) -> Bundle | None:
    return bundles.signed_bundle(sensor.desired_version_id) if sensor.desired_version_id else None


def _wire_bundle(sensor: Sensor, bundle: Bundle, known_keys: str | None) -> wire.SignedPolicy:
    """The bundle under a signature that the sensor accepts; `known_keys` is the header, ids separated by commas."""
    ids = None if known_keys is None else {part.strip() for part in known_keys.split(",")}
    key_id, signature = sensor_signature(sensor, bundle, ids)
    payload = base64.b64encode(bytes(bundle.payload)).decode()
    return wire.SignedPolicy(key_id, base64.b64encode(signature).decode(), payload)


def _has_etag(if_none_match: str, etag: str) -> bool:
    """Whether the header names this ETag: quoted, weak or bare, alone or in a list."""
    return any(part.strip().removeprefix("W/").strip('"') == etag for part in if_none_match.split(","))


def _json(shape: msgspec.Struct, status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(shape), content_type="application/json", status=status)
