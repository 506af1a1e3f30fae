"""The caller's draft, and checks of documents."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.policy.actions.drafts import change_draft, discard_draft
from drift.policy.actions.versions import save_draft
from drift.policy.api import serializers
from drift.policy.api.responses import (
    CONFLICT,
    IF_MATCH,
    INVALID,
    NO_IF_MATCH,
    SAVED,
    TAG,
    draft_response,
    expected_draft,
    saved_response,
)
from drift.policy.domain import edits
from drift.policy.errors import error_json
from drift.policy.queries.drafts import draft_state
from drift.web.requests import signed_in_user
from drift.web.serializers import validated
from sensor.policy import check
from sensor.policy.lint import lint


class DraftView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_draft",
        summary="Get your draft",
        description="Without a draft: the latest version. The ETag names the state that you read.",
        responses=serializers.DraftSerializer,
    )
    def get(self, request: Request) -> Response:
        """Return the caller's draft."""
        return draft_response(draft_state(signed_in_user(request)))

    @extend_schema(
        tags=TAG,
        operation_id="put_draft",
        summary="Put a document in your draft",
        parameters=[IF_MATCH],
        request=serializers.DocumentSerializer,
        responses={200: serializers.DraftSerializer, 409: CONFLICT, 422: INVALID, **NO_IF_MATCH},
    )
    def put(self, request: Request) -> Response:
        """Replace the draft's document."""
        fields = validated(serializers.DocumentSerializer, request.data)
        return draft_response(change_draft(expected_draft(request), edits.replace_document(fields["document"])))

    @extend_schema(
        tags=TAG,
        operation_id="discard_draft",
        summary="Discard your draft's changes",
        parameters=[IF_MATCH],
        responses={200: serializers.DraftSerializer, 409: CONFLICT, **NO_IF_MATCH},
    )
    def delete(self, request: Request) -> Response:
        """Start again from the latest version."""
        return draft_response(discard_draft(expected_draft(request)))


class DraftSaveView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="save_draft",
        summary="Save your draft as the next version",
        parameters=[IF_MATCH],
        request=serializers.SaveDraftSerializer,
        responses={**SAVED, 409: CONFLICT, **NO_IF_MATCH},
    )
    def post(self, request: Request) -> Response:
        """Save; 200 with the latest version where nothing has changed."""
        fields = validated(serializers.SaveDraftSerializer, request.data)
        return saved_response(save_draft(expected_draft(request), **fields))


class DocumentCheckView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="check_document",
        summary="Check a document without saving it",
        request=serializers.CheckedDocumentSerializer,
        responses=serializers.CheckSerializer,
    )
    def post(self, request: Request) -> Response:
        """Return every error with its rule and field, and the warnings of a document without errors."""
        fields = validated(serializers.CheckedDocumentSerializer, request.data)
        errors = check(fields["document"])
        warnings = [] if errors else [finding.as_json() for finding in lint(fields["document"])]
        return Response({"faults": [error_json(error) for error in errors], "warnings": warnings})
