"""POST sensors/me/events: how sensors send events. The one call whose throughput matters."""

from __future__ import annotations

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.alerts.actions.cluster_slots import cluster_slots
from drift.alerts.actions.ingest import ingest
from drift.alerts.forms.event_batch import read_events
from drift.fleet.api.sensor_authentication import SensorAuthentication, request_sensor
from drift.web.openapi import struct_schema
from sensor import wire

EVENT = {**struct_schema(wire.Event), "description": "A drift event or summary, as in docs/wire.md."}
REQUEST = {
    "type": "object",
    "required": ["events"],
    "properties": {"events": {"type": "array", "minItems": 1, "maxItems": wire.MAX_EVENTS, "items": EVENT}},
}
RESPONSE = {
    "type": "object",
    "required": ["accepted", "duplicates"],
    "properties": {"accepted": {"type": "integer"}, "duplicates": {"type": "integer"}},
}
ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "field": {"type": "string"},
        "index": {"type": "integer", "description": "The event that was rejected; nothing of the batch was stored."},
    },
}


class EventsView(APIView):
    """Accepts 1 to 1,000 events, as JSON or gzipped JSON, and responds once all of them are durably stored."""

    authentication_classes = (SensorAuthentication,)

    @extend_schema(
        operation_id="sensor_events",
        request={"application/json": REQUEST},
        responses={200: RESPONSE, 400: ERROR, 401: ERROR, 403: ERROR, 413: ERROR, 422: ERROR, 429: ERROR, 503: ERROR},
    )
    def post(self, request: Request) -> Response:
        """Store a batch. An event that is stored already is a duplicate, and is not counted again."""
        sensor = request_sensor(request)
        # Read before a slot is taken: a sensor that sends slowly must not hold one.
        events = read_events(request)
        with cluster_slots.hold(sensor.cluster_id):
            stored = ingest(sensor, events)
        return Response(msgspec.to_builtins(stored))
