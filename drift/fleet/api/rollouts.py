"""Rollouts for people's programs: pause, resume, roll back, and the plan of the next ones."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.fleet.actions import rollback, rollouts
from drift.fleet.actions import rollout_waves as waves
from drift.fleet.api import serializers as shapes
from drift.fleet.api.estate import MISSING, TAG, checked, rollout_in, user_in, with_progress
from drift.fleet.models import RolloutPlan

ANSWERS = {200: shapes.RolloutSerializer, **MISSING}


class PauseRolloutView(APIView):
    @extend_schema(tags=TAG, operation_id="pause_rollout", request=None, responses=ANSWERS)
    def post(self, request: Request, number: int) -> Response:
        """Tell no more sensors of it; the same where it is paused or spread already."""
        waves.pause_rollout(user_in(request), rollout_in(request, number))
        return _rollout(request, number)


class ResumeRolloutView(APIView):
    @extend_schema(tags=TAG, operation_id="resume_rollout", request=None, responses=ANSWERS)
    def post(self, request: Request, number: int) -> Response:
        """Go on where it stood; one that had halted does not halt again by itself."""
        waves.resume_rollout(user_in(request), rollout_in(request, number))
        return _rollout(request, number)


class RollBackView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="roll_back",
        request=None,
        responses={201: shapes.RolloutSerializer, 409: OpenApiTypes.OBJECT, **MISSING},
    )
    def post(self, request: Request, number: int) -> Response:
        """The document before version `number`, under a new number, for everybody; 409 if it is not the newest."""
        rollout_in(request, number)
        version = rollback.roll_back(user_in(request), number)
        return Response(with_progress([rollouts.open_rollout(version)])[0], 201)


class RolloutPlanView(APIView):
    @extend_schema(tags=TAG, operation_id="get_rollout_plan", responses=shapes.PlanSerializer)
    def get(self, request: Request) -> Response:
        """How the next versions go out."""
        return Response(shapes.PlanSerializer(RolloutPlan.objects.get()).data)

    @extend_schema(
        tags=TAG, operation_id="set_rollout_plan", request=shapes.PlanSerializer, responses=shapes.PlanSerializer
    )
    def put(self, request: Request) -> Response:
        """Change it; rollouts on their way keep theirs."""
        given = checked(shapes.PlanSerializer, request.data)
        given["waves"] = [dict(wave) for wave in given["waves"]]
        waves.save_rollout_plan(user_in(request), **given)
        return self.get(request)


def _rollout(request: Request, number: int) -> Response:
    return Response(with_progress([rollout_in(request, number)])[0])
