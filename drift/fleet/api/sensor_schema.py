"""OpenAPI schema of the sensor calls, generated from the structs of sensor/wire/."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from drift.web.openapi import struct_schema
from sensor import wire


def errors(*statuses: int) -> dict[int, Any]:
    """Return the error schema under each of these statuses."""
    return {status: struct_schema(wire.ErrorBody) for status in statuses}


class SensorCredential(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The security scheme of SensorAuthentication."""

    target_class = "drift.fleet.api.sensor_authentication.SensorAuthentication"
    name = "sensorCredential"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "The credential that enrolment returned."}


SENSOR_TAG = ["sensors"]
NOTHING = OpenApiResponse(description="Recorded.")
_REFUSALS = (401, 403)
_BODY = (400, 413, 415, 422)

ENROL = extend_schema(
    tags=SENSOR_TAG,
    operation_id="enrol_sensor",
    summary="Enrol a node",
    description=(
        "Codes: 401 invalid_token · 403 token_revoked, token_expired, token_used_up, wrong_cluster, environment_off, "
        "sensor_revoked · 409 node_in_use · 422 kubernetes_too_old, kubernetes_version_invalid, "
        "kubernetes_version_required, invalid, nul · 429 too_many_attempts."
    ),
    auth=[],
    request={"application/json": struct_schema(wire.EnrolRequest)},
    responses={201: struct_schema(wire.EnrolResponse), **errors(401, 403, 409, 429, *_BODY)},
)
POLICY = extend_schema(
    tags=SENSOR_TAG,
    operation_id="fetch_policy",
    summary="Get this sensor's desired version, signed",
    parameters=[
        OpenApiParameter("If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER),
        OpenApiParameter(
            "Driftwatch-Keys",
            OpenApiTypes.STR,
            OpenApiParameter.HEADER,
            description="Ids of the signing keys that the sensor accepts, separated by commas; one of them signs.",
        ),
    ],
    responses={
        200: struct_schema(wire.SignedPolicy),
        304: OpenApiResponse(description="The sensor already has this bundle."),
        **errors(404, *_REFUSALS),
    },
)
POLICY_STATUS = extend_schema(
    tags=SENSOR_TAG,
    operation_id="report_policy_status",
    summary="Report that a version was applied or rejected",
    request={"application/json": struct_schema(wire.PolicyStatus)},
    responses={204: NOTHING, **errors(*_REFUSALS, *_BODY)},
)
NUMBER_PROOF = extend_schema(
    tags=SENSOR_TAG,
    operation_id="prove_policy_number",
    summary="Send the applied bundle, where the portal never issued it",
    description="Codes: 422 proof_invalid, where no key of this portal that is not retired signed it.",
    request={"application/json": struct_schema(wire.SignedPolicy)},
    responses={204: NOTHING, **errors(*_REFUSALS, *_BODY)},
)
HEARTBEAT = extend_schema(
    tags=SENSOR_TAG,
    operation_id="send_heartbeat",
    summary="Report version, capabilities, applied policy and counters",
    request={"application/json": struct_schema(wire.Heartbeat)},
    responses={200: struct_schema(wire.HeartbeatResponse), **errors(*_REFUSALS, *_BODY)},
)
STREAM_TICKET = extend_schema(
    tags=SENSOR_TAG,
    operation_id="issue_stream_ticket",
    summary="Issue a ticket for the push gateway's stream",
    request={"application/json": struct_schema(wire.TicketRequest)},
    responses={200: struct_schema(wire.StreamTicket), **errors(*_REFUSALS, *_BODY)},
)
