"""POST sensors/me/execs: how sensors report what containers executed around their drift."""

from __future__ import annotations

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.alerts.actions.cluster_slots import cluster_slots
from drift.alerts.actions.store_execs import store_execs
from drift.alerts.api.events import ERROR
from drift.alerts.forms.event_batch import read_exec_reports
from drift.fleet.api.sensor_authentication import SensorAuthentication, request_sensor
from drift.web.openapi import struct_schema
from sensor import wire

REPORT = {**struct_schema(wire.ExecReport), "description": "Execs of one container, as in docs/wire.md."}
REQUEST = {
    "type": "object",
    "required": ["reports"],
    "properties": {"reports": {"type": "array", "minItems": 1, "maxItems": wire.MAX_REPORTS, "items": REPORT}},
}


class ExecsView(APIView):
    """Accepts 1 to 64 reports, as JSON or gzipped JSON, and responds once all that may be stored are."""

    authentication_classes = (SensorAuthentication,)

    @extend_schema(
        operation_id="sensor_execs",
        request={"application/json": REQUEST},
        responses={
            200: struct_schema(wire.ExecReportsResponse),
            **dict.fromkeys((400, 401, 403, 413, 422, 429, 503), ERROR),
        },
    )
    def post(self, request: Request) -> Response:
        """Store what containers executed. An exec that is stored already is not stored again."""
        sensor = request_sensor(request)
        reports = read_exec_reports(request)
        with cluster_slots.hold(sensor.cluster_id):
            stored = store_execs(sensor, reports)
        return Response(msgspec.to_builtins(stored))
