"""Environments, clusters, sensors and enrolment tokens for API clients."""

from __future__ import annotations

import uuid
from typing import Any, Final, cast

from django.db.models import Model, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView

from drift.fleet.actions.enrolment_tokens import create_enrolment_token, revoke_enrolment_token
from drift.fleet.actions.environments import change_environment, create_environment
from drift.fleet.actions.quarantine import lift_quarantine, quarantine_sensor
from drift.fleet.actions.sensors import release_sensor, revoke_sensor
from drift.fleet.api.serializers import (
    ClusterQuery,
    ClusterSerializer,
    EnvironmentChange,
    EnvironmentSerializer,
    MadeToken,
    NewEnrolmentToken,
    NewEnvironment,
    PageQuery,
    SensorQuarantine,
    SensorQuery,
    SensorSerializer,
    TokenSerializer,
)
from drift.fleet.models import Cluster, EnrolmentToken, Environment, Sensor
from drift.fleet.queries.enrolment_tokens import visible_enrolment_tokens
from drift.fleet.queries.sensors import visible_sensors
from drift.web.cursors import rows_after
from drift.web.openapi import NOT_FOUND
from drift.web.requests import signed_in_user
from drift.web.serializers import page_serializer, validated, validated_parameters

TAG: Final = ["fleet"]
ENVIRONMENT_OR_NOT_FOUND: Final = {200: EnvironmentSerializer, **NOT_FOUND}
SENSOR_OR_NOT_FOUND: Final = {200: SensorSerializer, **NOT_FOUND}


class EnvironmentListView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_environments",
        parameters=[PageQuery],
        responses=page_serializer(EnvironmentSerializer),
    )
    def get(self, request: Request) -> Response:
        """Environments, including retired ones."""
        return _page(request, Environment.objects.visible_to(signed_in_user(request)), EnvironmentSerializer)

    @extend_schema(
        tags=TAG,
        operation_id="add_environment",
        request=NewEnvironment,
        responses={201: EnvironmentSerializer, 409: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """Add a cloud account; 409 `account_known` if it has already been added."""
        environment = create_environment(signed_in_user(request), **validated(NewEnvironment, request.data))
        return Response(EnvironmentSerializer(environment).data, 201)


class EnvironmentView(APIView):
    @extend_schema(tags=TAG, operation_id="get_environment", responses=ENVIRONMENT_OR_NOT_FOUND)
    def get(self, request: Request, pk: int) -> Response:
        """Return one environment."""
        return Response(EnvironmentSerializer(_environment(request, pk)).data)

    @extend_schema(
        tags=TAG, operation_id="change_environment", request=EnvironmentChange, responses=ENVIRONMENT_OR_NOT_FOUND
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Rename it, switch its sensor, retire or restore it."""
        environment = _environment(request, pk)
        change = validated(EnvironmentChange, request.data)
        change_environment(
            signed_in_user(request),
            environment,
            name=change.get("name"),
            on=change.get("sensor_enabled"),
            proof=change.get("proof"),
            exec_history=change.get("exec_history"),
            retired=change.get("retired"),
        )
        return self.get(request, pk)


class ClusterListView(APIView):
    @extend_schema(
        tags=TAG, operation_id="list_clusters", parameters=[ClusterQuery], responses=page_serializer(ClusterSerializer)
    )
    def get(self, request: Request) -> Response:
        """Clusters, optionally of one environment."""
        rows = Cluster.objects.visible_to(signed_in_user(request))
        return _page(request, rows, ClusterSerializer, ClusterQuery)


class SensorListView(APIView):
    @extend_schema(
        tags=TAG, operation_id="list_sensors", parameters=[SensorQuery], responses=page_serializer(SensorSerializer)
    )
    def get(self, request: Request) -> Response:
        """Sensors in every state, optionally of one cluster or in one state."""
        return _page(request, visible_sensors(signed_in_user(request)), SensorSerializer, SensorQuery)


class SensorDetailView(APIView):
    @extend_schema(tags=TAG, operation_id="get_sensor", responses=SENSOR_OR_NOT_FOUND)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one sensor."""
        return Response(SensorSerializer(_sensor(request, pk)).data)


class RevokeSensorView(APIView):
    @extend_schema(tags=TAG, operation_id="revoke_sensor", request=None, responses=SENSOR_OR_NOT_FOUND)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Reject its credential permanently, and its node until it is released."""
        revoke_sensor(signed_in_user(request), _sensor(request, pk))
        return Response(SensorSerializer(_sensor(request, pk)).data)


class ReleaseSensorView(APIView):
    @extend_schema(tags=TAG, operation_id="release_sensor", request=None, responses=SENSOR_OR_NOT_FOUND)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Reject its credential and let its node enrol again."""
        release_sensor(signed_in_user(request), _sensor(request, pk))
        return Response(SensorSerializer(_sensor(request, pk)).data)


class QuarantineView(APIView):
    @extend_schema(tags=TAG, operation_id="quarantine_sensor", request=SensorQuarantine, responses=SENSOR_OR_NOT_FOUND)
    def put(self, request: Request, pk: uuid.UUID) -> Response:
        """Set aside the alerts that it opened since a time, by default now."""
        fields = validated(SensorQuarantine, request.data)
        quarantine_sensor(signed_in_user(request), _sensor(request, pk), fields["since"])
        return Response(SensorSerializer(_sensor(request, pk)).data)

    @extend_schema(tags=TAG, operation_id="lift_sensor_quarantine", request=None, responses=SENSOR_OR_NOT_FOUND)
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Bring back the alerts that were set aside."""
        lift_quarantine(signed_in_user(request), _sensor(request, pk))
        return Response(SensorSerializer(_sensor(request, pk)).data)


class EnrolmentTokenListView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_enrolment_tokens",
        parameters=[PageQuery],
        responses=page_serializer(TokenSerializer),
    )
    def get(self, request: Request) -> Response:
        """Enrolment tokens, without the token itself."""
        return _page(request, visible_enrolment_tokens(signed_in_user(request)), TokenSerializer)

    @extend_schema(
        tags=TAG,
        operation_id="create_enrolment_token",
        request=NewEnrolmentToken,
        responses={201: MadeToken, **NOT_FOUND},
    )
    def post(self, request: Request) -> Response:
        """Create a token; only this response contains it."""
        fields = validated(NewEnrolmentToken, request.data)
        fields["environment"] = environment = _environment(request, fields["environment"])
        if fields["cluster"] is not None:
            fields["cluster"] = _one(Cluster.objects.filter(environment=environment), fields["cluster"])
        row, token = create_enrolment_token(signed_in_user(request), **fields)
        return Response({**TokenSerializer(row).data, "token": token}, 201)


class RevokeEnrolmentTokenView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="revoke_enrolment_token",
        request=None,
        responses={200: TokenSerializer, **NOT_FOUND},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Let no more nodes enrol with it; its sensors stay."""
        user = signed_in_user(request)
        revoke_enrolment_token(user, _one(EnrolmentToken.objects.visible_to(user), pk))
        return Response(TokenSerializer(_one(visible_enrolment_tokens(user), pk)).data)


def _page(
    request: Request,
    rows: QuerySet[Any],
    serializer: type[ModelSerializer[Any]],
    query_serializer: type[PageQuery] = PageQuery,
) -> Response:
    """`{"results", "next"}` in the order of ids; the query's other keys are filters."""
    query = validated_parameters(query_serializer, request.query_params.dict())
    filters = {name: value for name, value in query.items() if name not in {"limit", "after"}}
    found, cursor = rows_after(rows.filter(**filters), "pk", query.get("after"), query["limit"])
    return Response({"results": serializer(found, many=True).data, "next": cursor})


def _one(rows: QuerySet[Any], pk: object) -> Any:
    found: Model | None = rows.filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def _environment(request: Request, pk: int) -> Environment:
    return cast("Environment", _one(Environment.objects.visible_to(signed_in_user(request)), pk))


def _sensor(request: Request, pk: uuid.UUID) -> Sensor:
    return cast("Sensor", _one(visible_sensors(signed_in_user(request)), pk))
