"""Versions, drafts and checks of the policy for people's programs."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from drift.policy.actions import drafts as actions
from drift.policy.actions.drafts import Saved
from drift.policy.api import serializers
from drift.policy.domain import edits
from drift.policy.errors import PointMissing, StaleDraft, fault_json
from drift.policy.models import PolicyVersion
from drift.policy.queries.draft_state import Point, State, state_of
from sensor.policy import check

TAG = ["policy"]
IF_MATCH = OpenApiParameter(
    "If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, description="The draft's ETag as last seen."
)
CONFLICT = OpenApiResponse(
    OpenApiTypes.OBJECT, "stale_draft, newer_version (with `theirs`, `yours`, `added_twice`), unknown_version"
)
INVALID = OpenApiResponse(OpenApiTypes.OBJECT, "policy_invalid, with every fault in `faults`")
SAVED = {201: serializers.VersionSerializer, 200: serializers.VersionSerializer}
"""200: the latest version is that already."""
UNSEEN = {428: OpenApiTypes.OBJECT}
"""No If-Match."""


def user_in(request: Request) -> User:
    return cast("User", request.user)


def input_of(serializer: type[serializers.StrictSerializer], data: Any) -> dict[str, Any]:
    """The checked input; DRF answers 400 with the field's name otherwise."""
    parsed = serializer(data=data)
    parsed.is_valid(raise_exception=True)
    return cast("dict[str, Any]", parsed.validated_data)


def point_in(request: Request) -> Point:
    text = request.headers.get("If-Match")
    if text is None:
        raise PointMissing
    point = Point.parse(text)
    if point is None:
        raise StaleDraft
    return point


def page_of(rows: QuerySet[Any], key: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """`{"results", "next"}`: the greatest `key` first, of those below `before`, as many as `limit`."""
    if "before" in wanted:
        rows = rows.filter(**{f"{key}__lt": wanted["before"]})
    page = list(rows.order_by(f"-{key}")[: wanted["limit"] + 1])
    shown = page[: wanted["limit"]]
    return {"results": shown, "next": getattr(shown[-1], key) if len(page) > len(shown) else None}


def saved_answer(saved: Saved) -> Response:
    return Response(serializers.VersionSerializer(saved.version).data, 201 if saved.is_new else 200)


class VersionList(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_versions",
        summary="List versions, newest first",
        parameters=[serializers.ListQuerySerializer],
        responses=serializers.VersionListSerializer,
    )
    def get(self, request: Request) -> Response:
        """A page of versions without their documents."""
        wanted = input_of(serializers.ListQuerySerializer, request.query_params.dict())
        versions = PolicyVersion.objects.visible_to(user_in(request)).select_related("author").defer("document")
        return Response(serializers.VersionListSerializer(page_of(versions, "number", wanted)).data)

    @extend_schema(
        tags=TAG,
        operation_id="save_document",
        summary="Save a whole document as the next version",
        description="Refused unless version `base` is the latest; a document equal to it makes none (200).",
        request=serializers.SaveDocumentSerializer,
        responses={**SAVED, 409: CONFLICT, 422: INVALID},
    )
    def post(self, request: Request) -> Response:
        """Save, atomically."""
        given = input_of(serializers.SaveDocumentSerializer, request.data)
        return saved_answer(actions.save_document(user_in(request), given["document"], given["base"], given["comment"]))


class VersionDetail(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_version",
        summary="Get a version with its document",
        responses={200: serializers.VersionDocumentSerializer, 404: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, number: int) -> Response:
        """One version."""
        versions = PolicyVersion.objects.visible_to(user_in(request)).select_related("author")
        version = versions.filter(number=number).first()
        if version is None:
            raise NotFound
        return Response(serializers.VersionDocumentSerializer(version).data)


class VersionRestore(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="restore_version",
        summary="Save an old version's document as the next version",
        description="Refused unless version `base` is the latest; a document equal to it makes none (200).",
        request=serializers.RestoreSerializer,
        responses={**SAVED, 409: CONFLICT},
    )
    def post(self, request: Request, number: int) -> Response:
        """A new number with the old document."""
        given = input_of(serializers.RestoreSerializer, request.data)
        if not PolicyVersion.objects.visible_to(user_in(request)).filter(number=number).exists():
            raise NotFound
        return saved_answer(actions.restore_version(user_in(request), number, given["base"], given["comment"]))


class Draft(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_draft",
        summary="Get your draft",
        description="Without a draft: the latest version. The ETag says which state you saw.",
        responses=serializers.DraftSerializer,
    )
    def get(self, request: Request) -> Response:
        """The caller's draft."""
        return draft_answer(state_of(user_in(request)))

    @extend_schema(
        tags=TAG,
        operation_id="put_draft",
        summary="Put a document in your draft",
        parameters=[IF_MATCH],
        request=serializers.DocumentSerializer,
        responses={200: serializers.DraftSerializer, 409: CONFLICT, 422: INVALID, **UNSEEN},
    )
    def put(self, request: Request) -> Response:
        """Replace the draft's document."""
        given = input_of(serializers.DocumentSerializer, request.data)
        edit = edits.replace(given["document"])
        return draft_answer(actions.change_draft(user_in(request), point_in(request), edit))

    @extend_schema(
        tags=TAG,
        operation_id="discard_draft",
        summary="Discard your draft's changes",
        parameters=[IF_MATCH],
        responses={200: serializers.DraftSerializer, 409: CONFLICT, **UNSEEN},
    )
    def delete(self, request: Request) -> Response:
        """Start again from the latest version."""
        return draft_answer(actions.discard_draft(user_in(request), point_in(request)))


class DraftSave(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="save_draft",
        summary="Save your draft as the next version",
        parameters=[IF_MATCH],
        request=serializers.SaveDraftSerializer,
        responses={**SAVED, 409: CONFLICT, **UNSEEN},
    )
    def post(self, request: Request) -> Response:
        """Save; nothing to save answers 200 with the latest version."""
        given = input_of(serializers.SaveDraftSerializer, request.data)
        return saved_answer(actions.save_draft(user_in(request), point_in(request), given["comment"]))


def draft_answer(state: State) -> Response:
    body = {
        "base": state.base.number,
        "revision": state.revision,
        "latest": state.latest,
        "changes": [change.as_json() for change in state.changes],
        "document": state.document,
    }
    return Response(body, headers={"ETag": f'"{state.point}"'})


class Check(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="check_document",
        summary="Check a document without saving it",
        request=serializers.DocumentSerializer,
        responses=serializers.CheckSerializer,
    )
    def post(self, request: Request) -> Response:
        """Every fault, with rule and field."""
        given = input_of(serializers.DocumentSerializer, request.data)
        return Response({"faults": [fault_json(fault) for fault in check(given["document"])]})
