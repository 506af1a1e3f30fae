"""Shared by the policy's API views: the If-Match header, saved versions, drafts, and their OpenAPI responses."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from drift.policy.actions.versions import Saved
from drift.policy.api import serializers
from drift.policy.domain.draft_revision import DraftRevision
from drift.policy.domain.edits import Document
from drift.policy.errors import RevisionMissing
from drift.policy.queries.drafts import DraftState, draft_state
from drift.web.openapi import error_response
from drift.web.requests import signed_in_user
from sensor.policy.lint import lint

TAG: Final = ["policy"]
IF_MATCH: Final = OpenApiParameter(
    "If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, description="The draft's ETag as last read."
)
CONFLICT: Final = error_response(
    "stale_draft, newer_version (with `theirs`, `yours`, `added_twice`), unknown_version, approver_required, "
    "role_ended, detects_nothing, sensors_lack, default_may_not_block, backtest_missing, default_blocks"
)
INVALID: Final = error_response("policy_invalid, with every error in `faults`")
SAVED: Final = {201: serializers.SavedVersionSerializer, 200: serializers.SavedVersionSerializer}
"""200: the latest version already has this document."""
NO_IF_MATCH: Final = {428: OpenApiTypes.OBJECT}


def expected_draft(request: Request) -> DraftState:
    """Return the user's draft, if If-Match names its state. Raises RevisionMissing, StaleDraft."""
    header = request.headers.get("If-Match")
    if header is None:
        raise RevisionMissing
    return draft_state(signed_in_user(request)).expect(DraftRevision.parse(header))


def draft_response(state: DraftState) -> Response:
    """Return the draft with its ETag."""
    body = {
        "base": state.base.number,
        "revision": state.revision,
        "latest": state.latest,
        "changes": [change.as_json() for change in state.changes],
        "document": state.document,
        "warnings": _warnings(state.document),
    }
    return Response(body, headers={"ETag": f'"{state.draft_revision}"'})


def saved_response(saved: Saved) -> Response:
    """Return 201 with the new version, or 200 with the latest where nothing had to be saved."""
    body = serializers.VersionSerializer(saved.version).data | {"warnings": _warnings(saved.version.document)}
    return Response(body, 201 if saved.is_new else 200)


def _warnings(document: Document) -> list[dict[str, Any]]:
    return [finding.as_json() for finding in lint(document)]
