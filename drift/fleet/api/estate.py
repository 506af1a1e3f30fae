"""The estate for people's programs: environments, clusters, sensors, rollouts, enrolment tokens, the switch."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Model, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer, Serializer
from rest_framework.views import APIView

from accounts.models import User
from drift.fleet.actions import blocking_switch as blocking
from drift.fleet.actions import enrolment_tokens as token_actions
from drift.fleet.actions import environments as estate
from drift.fleet.actions import sensors
from drift.fleet.api import serializers as shapes
from drift.fleet.errors import FleetError
from drift.fleet.models import Cluster, EnrolmentToken, Environment, FleetState, Rollout, Sensor
from drift.fleet.queries import rollouts as rollout_reading
from drift.fleet.queries.blocking_status import acknowledgement
from drift.fleet.queries.enrolment_tokens import visible_enrolment_tokens
from drift.fleet.queries.health import health_notices
from drift.fleet.queries.sensors import visible_sensors

TAG = ["fleet"]
MISSING = {404: OpenApiTypes.OBJECT}
ENVIRONMENTS = shapes.page_of(shapes.EnvironmentSerializer)
CLUSTERS = shapes.page_of(shapes.ClusterSerializer)
SENSORS = shapes.page_of(shapes.SensorSerializer)
TOKENS = shapes.page_of(shapes.TokenSerializer)
ROLLOUTS = shapes.page_of(shapes.RolloutSerializer)
DELIVERIES = shapes.page_of(shapes.DeliverySerializer)


class EnvironmentListView(APIView):
    @extend_schema(tags=TAG, operation_id="list_environments", parameters=[shapes.PageQuery], responses=ENVIRONMENTS)
    def get(self, request: Request) -> Response:
        """Environments, retired ones included."""
        return _page(request, Environment.objects.visible_to(user_in(request)), shapes.EnvironmentSerializer)

    @extend_schema(
        tags=TAG,
        operation_id="add_environment",
        request=shapes.NewEnvironment,
        responses={201: shapes.EnvironmentSerializer, 409: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """Add a cloud account; 409 `account_known` where it is there already."""
        given = checked(shapes.NewEnvironment, request.data)
        environment = estate.create_environment(user_in(request), **given)
        return Response(shapes.EnvironmentSerializer(environment).data, 201)


class EnvironmentView(APIView):
    @extend_schema(tags=TAG, operation_id="get_environment", responses={200: shapes.EnvironmentSerializer, **MISSING})
    def get(self, request: Request, pk: int) -> Response:
        """One environment."""
        return Response(shapes.EnvironmentSerializer(_environment(request, pk)).data)

    @extend_schema(
        tags=TAG,
        operation_id="change_environment",
        request=shapes.EnvironmentChange,
        responses={200: shapes.EnvironmentSerializer, **MISSING},
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Rename it, switch its Defender sensor, retire or restore it."""
        environment, user = _environment(request, pk), user_in(request)
        given = checked(shapes.EnvironmentChange, request.data)
        estate.change_environment(
            user,
            environment,
            name=given.get("name"),
            on=given.get("sensor_enabled"),
            proof=given.get("proof"),
            retired=given.get("retired"),
        )
        return Response(shapes.EnvironmentSerializer(_environment(request, pk)).data)


class ClusterListView(APIView):
    @extend_schema(tags=TAG, operation_id="list_clusters", parameters=[shapes.ClusterQuery], responses=CLUSTERS)
    def get(self, request: Request) -> Response:
        """Clusters, of one environment if you like."""
        rows = Cluster.objects.visible_to(user_in(request))
        return _page(request, rows, shapes.ClusterSerializer, shapes.ClusterQuery)


class SensorListView(APIView):
    @extend_schema(tags=TAG, operation_id="list_sensors", parameters=[shapes.SensorQuery], responses=SENSORS)
    def get(self, request: Request) -> Response:
        """Sensors in every state, of one cluster or in one state if you like."""
        return _page(request, visible_sensors(user_in(request)), shapes.SensorSerializer, shapes.SensorQuery)


class SensorDetailView(APIView):
    @extend_schema(tags=TAG, operation_id="get_sensor", responses={200: shapes.SensorSerializer, **MISSING})
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """One sensor."""
        return Response(shapes.SensorSerializer(_sensor(request, pk)).data)


class RevokeSensorView(APIView):
    @extend_schema(
        tags=TAG, operation_id="revoke_sensor", request=None, responses={200: shapes.SensorSerializer, **MISSING}
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Refuse its credential for good, and its node until it is released."""
        sensors.revoke_sensor(user_in(request), _sensor(request, pk))
        return Response(shapes.SensorSerializer(_sensor(request, pk)).data)


class ReleaseSensorView(APIView):
    @extend_schema(
        tags=TAG, operation_id="release_sensor", request=None, responses={200: shapes.SensorSerializer, **MISSING}
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Let its node enrol afresh."""
        sensors.release_sensor(user_in(request), _sensor(request, pk))
        return Response(shapes.SensorSerializer(_sensor(request, pk)).data)


class EnrolmentTokenListView(APIView):
    @extend_schema(tags=TAG, operation_id="list_enrolment_tokens", parameters=[shapes.PageQuery], responses=TOKENS)
    def get(self, request: Request) -> Response:
        """Tokens without their text."""
        return _page(request, visible_enrolment_tokens(user_in(request)), shapes.TokenSerializer)

    @extend_schema(
        tags=TAG,
        operation_id="create_enrolment_token",
        request=shapes.NewToken,
        responses={201: shapes.MadeToken, **MISSING},
    )
    def post(self, request: Request) -> Response:
        """Make a token; its text is in this answer only."""
        given = checked(shapes.NewToken, request.data)
        given["environment"] = environment = _environment(request, given["environment"])
        if given["cluster"] is not None:
            given["cluster"] = _one(Cluster.objects.filter(environment=environment), given["cluster"])
        row, text = token_actions.create_enrolment_token(user_in(request), **given)
        return Response({**shapes.TokenSerializer(row).data, "token": text}, 201)


class RevokeEnrolmentTokenView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="revoke_enrolment_token",
        request=None,
        responses={200: shapes.TokenSerializer, **MISSING},
    )
    def post(self, request: Request, pk: int) -> Response:
        """No node enrols with it any more; its sensors stay."""
        rows = EnrolmentToken.objects.visible_to(user_in(request))
        token_actions.revoke_enrolment_token(user_in(request), _one(rows, pk))
        return Response(shapes.TokenSerializer(_one(visible_enrolment_tokens(user_in(request)), pk)).data)


class RolloutListView(APIView):
    @extend_schema(tags=TAG, operation_id="list_rollouts", parameters=[shapes.PageQuery], responses=ROLLOUTS)
    def get(self, request: Request) -> Response:
        """Rollouts, oldest first."""
        given = checked(shapes.PageQuery, request.query_params.dict())
        rows, following = _slice(Rollout.objects.visible_to(user_in(request)), given, "version_id")
        return Response({"results": with_progress(rows), "next": following})


class RolloutView(APIView):
    @extend_schema(tags=TAG, operation_id="get_rollout", responses={200: shapes.RolloutSerializer, **MISSING})
    def get(self, request: Request, number: int) -> Response:
        """How far version `number` has come."""
        return Response(with_progress([rollout_in(request, number)])[0])


class DeliveryListView(APIView):
    @extend_schema(tags=TAG, operation_id="list_deliveries", parameters=[shapes.PageQuery], responses=DELIVERIES)
    def get(self, request: Request, number: int) -> Response:
        """Version `number` on its way to each sensor."""
        return _page(request, rollout_in(request, number).deliveries.all(), shapes.DeliverySerializer)


class HealthView(APIView):
    @extend_schema(tags=TAG, operation_id="get_fleet_health", responses=shapes.NoticeSerializer(many=True))
    def get(self, request: Request) -> Response:
        """What is wrong with sensors now; an empty list where all is well."""
        return Response(shapes.NoticeSerializer(health_notices(user_in(request)), many=True).data)


class BlockingView(APIView):
    @extend_schema(tags=TAG, operation_id="get_blocking", responses=shapes.BlockingSerializer)
    def get(self, request: Request) -> Response:
        """Whether all blocking is stopped, and how many sensors obey."""
        state = FleetState.objects.get()
        heard = acknowledgement(state)
        facts = {
            "blocking_stopped": state.blocking_stopped,
            "blocking_changed_at": state.blocking_changed_at,
            "obeyed": heard.obeyed,
            "sensors": heard.total,
        }
        return Response(shapes.BlockingSerializer(facts).data)

    @extend_schema(
        tags=TAG, operation_id="switch_blocking", request=shapes.BlockingChange, responses=shapes.BlockingSerializer
    )
    def put(self, request: Request) -> Response:
        """Stop all blocking everywhere, or let sensors block again as the policy says."""
        stopped = checked(shapes.BlockingChange, request.data)["blocking_stopped"]
        (blocking.stop_all_blocking if stopped else blocking.resume_blocking)(user_in(request))
        return self.get(request)


def user_in(request: Request) -> User:
    return cast("User", request.user)


def checked(serializer: type[Serializer[Any]], data: Any) -> dict[str, Any]:
    """The checked input; DRF answers 400 with the field's name otherwise."""
    parsed = serializer(data=data)
    parsed.is_valid(raise_exception=True)
    return cast("dict[str, Any]", parsed.validated_data)


def _page(
    request: Request,
    rows: QuerySet[Any],
    serializer: type[ModelSerializer[Any]],
    query: type[shapes.PageQuery] = shapes.PageQuery,
) -> Response:
    """`{"results", "next"}` in the order of ids; what the query names beside the page filters."""
    given = checked(query, request.query_params.dict())
    filters = {name: value for name, value in given.items() if name not in {"limit", "after"}}
    found, following = _slice(rows.filter(**filters), given, "pk")
    return Response({"results": serializer(found, many=True).data, "next": following})


def _slice(rows: QuerySet[Any], given: dict[str, Any], key: str) -> tuple[list[Any], str | None]:
    """One page after `after`, and the `after` of the next."""
    if "after" in given:
        try:
            rows = rows.filter(**{f"{key}__gt": given["after"]})
        except (ValueError, DjangoValidationError):
            raise FleetError("invalid", "This is no `next` of this list.", status=400, field="after") from None
    page = list(rows.order_by(key)[: given["limit"] + 1])
    shown = page[: given["limit"]]
    return shown, str(getattr(shown[-1], key)) if len(page) > len(shown) else None


def _one(rows: QuerySet[Any], pk: object) -> Any:
    found: Model | None = rows.filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def _environment(request: Request, pk: int) -> Environment:
    return cast("Environment", _one(Environment.objects.visible_to(user_in(request)), pk))


def _sensor(request: Request, pk: uuid.UUID) -> Sensor:
    return cast("Sensor", _one(visible_sensors(user_in(request)), pk))


def rollout_in(request: Request, number: int) -> Rollout:
    found: Rollout | None = Rollout.objects.visible_to(user_in(request)).filter(version_id=number).first()
    if found is None:
        raise NotFound
    return found


def with_progress(rows: list[Rollout]) -> Any:
    progress = {item.number: item for item in rollout_reading.progress_of(rows)}
    return shapes.RolloutSerializer(rows, many=True, context={"progress": progress}).data
