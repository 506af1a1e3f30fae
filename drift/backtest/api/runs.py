"""Backtests for people's programs: start, follow, cancel."""

from __future__ import annotations

from typing import Any, cast

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from drift.backtest.actions import runs as actions
from drift.backtest.api import serializers
from drift.backtest.models import BacktestRun
from drift.policy.queries.draft_state import latest_number, state_of

TAG = ["backtests"]
LISTED = 50
REFUSED = OpenApiResponse(OpenApiTypes.OBJECT, "policy_invalid (with `faults`), period_invalid, unknown_version")


def _user(request: Request) -> User:
    return cast("User", request.user)


def _run(request: Request, run_id: int) -> BacktestRun:
    rows = BacktestRun.objects.visible_to(_user(request)).select_related("started_by").defer("document")
    row: BacktestRun = get_object_or_404(rows, pk=run_id)
    return row


class RunList(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_backtests",
        summary="List the newest backtests",
        responses=serializers.RunListSerializer,
    )
    def get(self, request: Request) -> Response:
        """At most 50, without results."""
        rows = BacktestRun.objects.visible_to(_user(request)).select_related("started_by")
        shown = rows.defer("document", "result").order_by("-created_at", "-pk")[:LISTED]
        return Response(serializers.RunListSerializer({"results": shown}).data)

    @extend_schema(
        tags=TAG,
        operation_id="start_backtest",
        summary="Start a backtest",
        description="Decides the stored events of a period by a document, and compares with a version. Then poll it.",
        request=serializers.StartSerializer,
        responses={202: serializers.RunSerializer, 422: REFUSED, 429: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """Start; an equal one of yours that has not ended is given back."""
        parsed = serializers.StartSerializer(data=request.data)
        parsed.is_valid(raise_exception=True)
        document, base = _wanted(_user(request), parsed.validated_data)
        run = actions.start(_user(request), document, base, parsed.validated_data["days"])
        return Response(serializers.RunSerializer(run).data, 202)


def _wanted(user: User, given: dict[str, Any]) -> tuple[Any, int]:
    """The document and the version to compare it with."""
    if "document" in given:
        return given["document"], given.get("base") or latest_number()
    state = state_of(user)
    return state.document, state.base.number


class RunDetail(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_backtest",
        summary="Get a backtest with its result",
        responses={200: serializers.RunResultSerializer, 404: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, run_id: int) -> Response:
        """State and progress; the result once it is done."""
        return Response(serializers.RunResultSerializer(_run(request, run_id)).data)


class RunCancel(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="cancel_backtest",
        summary="Cancel a backtest",
        request=None,
        responses={200: serializers.RunSerializer, 404: OpenApiTypes.OBJECT, 409: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, run_id: int) -> Response:
        """At once while it waits, within about a second while it runs."""
        return Response(serializers.RunSerializer(actions.cancel(_user(request), _run(request, run_id).pk)).data)
