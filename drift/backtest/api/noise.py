"""The API of noise budgets: list, start, poll, cancel, copy to the draft."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.plain_text import one_line
from drift.backtest.actions import noise_runs as actions
from drift.backtest.api.serializers import ObjectField, PolicyDocumentField
from drift.backtest.domain.noise_evidence import MAX_DAYS
from drift.backtest.models import NoiseMeasure, NoiseRun, RunState
from drift.backtest.queries import noise_runs as queries
from drift.web.openapi import NOT_FOUND, error_response
from drift.web.requests import signed_in_user
from drift.web.serializers import StrictSerializer, validated

TAG = ["noise budgets"]
LISTED = 50
REJECTED = error_response("budget_invalid, period_invalid, unknown_place")


class NoiseStartSerializer(StrictSerializer):
    """A budget. Without a place it is for the whole estate; a namespace is one of a cluster."""

    alerts = serializers.IntegerField(min_value=0, max_value=actions.MAX_ALERTS, help_text="At most so many a day.")
    days = serializers.IntegerField(
        default=MAX_DAYS, min_value=1, max_value=MAX_DAYS, help_text="Length of the period, today (UTC) included."
    )
    measure = serializers.ChoiceField(NoiseMeasure.choices, default=NoiseMeasure.EVERY_DAY)
    changing = serializers.BooleanField(
        default=False, help_text="Whether rules may cover contents that are new each time (docs/noise-budget.md)."
    )
    environment = serializers.IntegerField(required=False, min_value=1, help_text="Number of an environment.")
    cluster = serializers.IntegerField(required=False, min_value=1, help_text="Number of a cluster.")
    namespace = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=256, validators=[one_line]
    )


class NoiseRunSerializer(serializers.ModelSerializer[NoiseRun]):
    """A noise budget, without its plan."""

    state = serializers.CharField(read_only=True, help_text=", ".join(RunState.values))
    measure = serializers.CharField(read_only=True, help_text=", ".join(NoiseMeasure.values))
    started_by = serializers.EmailField(source="started_by.email", read_only=True)

    class Meta:
        model = NoiseRun
        fields: ClassVar = [
            *("id", "state", "progress", "base", "alerts", "measure", "changing", "environment", "cluster"),
            *("namespace", "first_day", "until", "started_by", "created_at", "finished_at", "error"),
        ]


class NoisePlanSerializer(NoiseRunSerializer):
    """A noise budget with its plan, and the policy with its changes; both null until it is done."""

    result = ObjectField(allow_null=True)
    document = PolicyDocumentField(allow_null=True)

    class Meta(NoiseRunSerializer.Meta):
        fields: ClassVar = [*NoiseRunSerializer.Meta.fields, "result", "document"]


class NoiseListSerializer(serializers.Serializer[Any]):
    """The newest noise budgets first."""

    results = NoiseRunSerializer(many=True)


class NoiseRunList(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_noise_budgets",
        summary="List the newest noise budgets",
        responses=NoiseListSerializer,
    )
    def get(self, request: Request) -> Response:
        """At most 50, without plans."""
        runs = queries.newest_noise_runs(signed_in_user(request), LISTED)
        return Response(NoiseListSerializer({"results": runs}).data)

    @extend_schema(
        tags=TAG,
        operation_id="start_noise_budget",
        summary="Start a noise budget",
        description="Finds the fewest rules that keep a number of alerts a day. Nothing is applied. Poll the run.",
        request=NoiseStartSerializer,
        responses={202: NoiseRunSerializer, 422: REJECTED, 429: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """Start a run under the latest version; one at a time for each user."""
        given = validated(NoiseStartSerializer, request.data)
        run = actions.start_noise_run(signed_in_user(request), actions.NoiseRequest(**given))
        return Response(NoiseRunSerializer(run).data, 202)


class NoiseRunDetail(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_noise_budget",
        summary="Get a noise budget with its plan",
        responses={200: NoisePlanSerializer, **NOT_FOUND},
    )
    def get(self, request: Request, run_id: int) -> Response:
        """State and progress; the plan when it is done."""
        return Response(NoisePlanSerializer(queries.visible_noise_run(signed_in_user(request), run_id)).data)


class NoiseRunCancel(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="cancel_noise_budget",
        summary="Cancel a noise budget",
        request=None,
        responses={200: NoiseRunSerializer, **NOT_FOUND, 409: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, run_id: int) -> Response:
        """At once while it is queued, within about a second while it runs."""
        user = signed_in_user(request)
        run = actions.cancel_noise_run(user, queries.visible_noise_run(user, run_id).pk)
        return Response(NoiseRunSerializer(run).data)


class NoiseRunCopy(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="copy_noise_budget",
        summary="Copy a noise budget's changes to your draft",
        request=None,
        responses={200: OpenApiTypes.OBJECT, **NOT_FOUND, 409: OpenApiTypes.OBJECT, 422: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, run_id: int) -> Response:
        """Nothing is saved: review the draft, then save or propose it."""
        user = signed_in_user(request)
        state = actions.copy_to_draft(user, queries.visible_noise_run(user, run_id))
        return Response({"draft": str(state.draft_revision)})
