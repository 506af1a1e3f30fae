"""The API of backtests: list, start, poll, cancel."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from drift.backtest.actions import runs as actions
from drift.backtest.api import serializers
from drift.backtest.queries.runs import newest_runs, visible_run
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.versions import latest_number
from drift.web.openapi import NOT_FOUND, error_response
from drift.web.requests import signed_in_user
from drift.web.serializers import validated

TAG = ["backtests"]
LISTED = 50
REJECTED = error_response("policy_invalid (with `faults`), period_invalid, unknown_version")


class RunList(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_backtests",
        summary="List the newest backtests",
        responses=serializers.RunListSerializer,
    )
    def get(self, request: Request) -> Response:
        """At most 50, without results."""
        runs = newest_runs(signed_in_user(request), LISTED)
        return Response(serializers.RunListSerializer({"results": runs}).data)

    @extend_schema(
        tags=TAG,
        operation_id="start_backtest",
        summary="Start a backtest",
        description="Decides the stored events of a period by a document and by a version, and compares. Poll the run.",
        request=serializers.StartSerializer,
        responses={202: serializers.RunSerializer, 422: REJECTED, 429: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """Start a run, or return an equal one of yours that has not ended."""
        user = signed_in_user(request)
        given = validated(serializers.StartSerializer, request.data)
        document, base = _document_and_base(user, given)
        run = actions.start(user, document, base, given["days"])
        return Response(serializers.RunSerializer(run).data, 202)


def _document_and_base(user: User, given: dict[str, Any]) -> tuple[Any, int]:
    """Return the document and the number of the version to compare it with; without a document, the user's draft."""
    if "document" in given:
        return given["document"], given.get("base") or latest_number()
    state = draft_state(user)
    return state.document, state.base.number


class RunDetail(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_backtest",
        summary="Get a backtest with its result",
        responses={200: serializers.RunResultSerializer, **NOT_FOUND},
    )
    def get(self, request: Request, run_id: int) -> Response:
        """State and progress; the result when it is done."""
        return Response(serializers.RunResultSerializer(visible_run(signed_in_user(request), run_id)).data)


class RunCancel(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="cancel_backtest",
        summary="Cancel a backtest",
        request=None,
        responses={200: serializers.RunSerializer, **NOT_FOUND, 409: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, run_id: int) -> Response:
        """At once while it is queued, within about a second while it runs."""
        user = signed_in_user(request)
        run = actions.cancel(user, visible_run(user, run_id).pk)
        return Response(serializers.RunSerializer(run).data)
