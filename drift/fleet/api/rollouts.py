"""Rollouts for API clients: list, deliveries, pause, resume, roll back, and the plan of later ones."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from drift.fleet.actions.rollout_control import pause_rollout, resume_rollout, roll_back, save_rollout_plan
from drift.fleet.api.serializers import DeliverySerializer, PageQuery, PlanSerializer, RolloutSerializer
from drift.fleet.models import Rollout, RolloutPlan
from drift.fleet.queries.rollouts import all_progress, hide_other_places, visible_deliveries
from drift.web.cursors import rows_after
from drift.web.openapi import NOT_FOUND
from drift.web.requests import signed_in_user
from drift.web.serializers import page_serializer, validated, validated_parameters

TAG: Final = ["fleet"]
ROLLOUT_OR_NOT_FOUND: Final = {200: RolloutSerializer, **NOT_FOUND}


class RolloutListView(APIView):
    @extend_schema(
        tags=TAG, operation_id="list_rollouts", parameters=[PageQuery], responses=page_serializer(RolloutSerializer)
    )
    def get(self, request: Request) -> Response:
        """Rollouts, oldest first."""
        query = validated_parameters(PageQuery, request.query_params.dict())
        user = signed_in_user(request)
        rows, cursor = rows_after(Rollout.objects.visible_to(user), "version_id", query.get("after"), query["limit"])
        return Response({"results": _rollout_data(user, rows), "next": cursor})


class RolloutView(APIView):
    @extend_schema(tags=TAG, operation_id="get_rollout", responses=ROLLOUT_OR_NOT_FOUND)
    def get(self, request: Request, number: int) -> Response:
        """Return how far version `number` has come."""
        return _response(request, number)


class DeliveryListView(APIView):
    @extend_schema(
        tags=TAG, operation_id="list_deliveries", parameters=[PageQuery], responses=page_serializer(DeliverySerializer)
    )
    def get(self, request: Request, number: int) -> Response:
        """The delivery of version `number` to each sensor."""
        query = validated_parameters(PageQuery, request.query_params.dict())
        deliveries = visible_deliveries(signed_in_user(request), _rollout(request, number))
        rows, cursor = rows_after(deliveries, "pk", query.get("after"), query["limit"])
        return Response({"results": DeliverySerializer(rows, many=True).data, "next": cursor})


class PauseRolloutView(APIView):
    @extend_schema(tags=TAG, operation_id="pause_rollout", request=None, responses=ROLLOUT_OR_NOT_FOUND)
    def post(self, request: Request, number: int) -> Response:
        """Notify no more sensors of it; changes nothing if it is paused or all were notified."""
        pause_rollout(signed_in_user(request), _rollout(request, number))
        return _response(request, number)


class ResumeRolloutView(APIView):
    @extend_schema(tags=TAG, operation_id="resume_rollout", request=None, responses=ROLLOUT_OR_NOT_FOUND)
    def post(self, request: Request, number: int) -> Response:
        """Continue a paused rollout; one that had halted does not halt again by itself."""
        resume_rollout(signed_in_user(request), _rollout(request, number))
        return _response(request, number)


class RollBackView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="roll_back",
        request=None,
        responses={201: RolloutSerializer, 409: OpenApiTypes.OBJECT, **NOT_FOUND},
    )
    def post(self, request: Request, number: int) -> Response:
        """Save the document before version `number` as a new version for all sensors; 409 unless it is the newest."""
        _rollout(request, number)
        version = roll_back(signed_in_user(request), number)
        return _response(request, version.number, status=201)


class RolloutPlanView(APIView):
    @extend_schema(tags=TAG, operation_id="get_rollout_plan", responses=PlanSerializer)
    def get(self, request: Request) -> Response:
        """Return how later versions are rolled out."""
        return Response(PlanSerializer(RolloutPlan.objects.get()).data)

    @extend_schema(tags=TAG, operation_id="set_rollout_plan", request=PlanSerializer, responses=PlanSerializer)
    def put(self, request: Request) -> Response:
        """Change the plan; rollouts that exist keep theirs."""
        plan = validated(PlanSerializer, request.data)
        plan["waves"] = [dict(wave) for wave in plan["waves"]]
        save_rollout_plan(signed_in_user(request), **plan)
        return self.get(request)


def _rollout(request: Request, number: int) -> Rollout:
    found: Rollout | None = Rollout.objects.visible_to(signed_in_user(request)).filter(version_id=number).first()
    if found is None:
        raise NotFound
    return found


def _response(request: Request, number: int, status: int = 200) -> Response:
    return Response(_rollout_data(signed_in_user(request), [_rollout(request, number)])[0], status)


def _rollout_data(user: User, rollouts: list[Rollout]) -> Any:
    progress = {item.number: item for item in all_progress(user, rollouts)}
    shown = hide_other_places(user, rollouts)
    return RolloutSerializer(shown, many=True, context={"progress": progress}).data
