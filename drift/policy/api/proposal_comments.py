"""The discussion of a proposal."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.policy.actions.proposals import comment_proposal
from drift.policy.api import serializers
from drift.policy.api.responses import TAG
from drift.policy.models import PolicyProposal
from drift.policy.queries.proposals import proposal, proposal_comments
from drift.web.cursors import rows_after
from drift.web.openapi import NOT_FOUND
from drift.web.requests import signed_in_user
from drift.web.serializers import page_serializer, validated, validated_parameters


class ProposalCommentsView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_proposal_comments",
        summary="List the comments on a proposal, oldest first",
        parameters=[serializers.CommentQuerySerializer],
        responses={200: page_serializer(serializers.ProposalCommentSerializer), **NOT_FOUND},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return a page of comments."""
        query = validated_parameters(serializers.CommentQuerySerializer, request.query_params.dict())
        rows = proposal_comments(signed_in_user(request), _proposal(request, pk))
        shown, following = rows_after(rows, "pk", query.get("after"), query["limit"])
        return Response({"results": serializers.ProposalCommentSerializer(shown, many=True).data, "next": following})

    @extend_schema(
        tags=TAG,
        operation_id="comment_proposal",
        summary="Comment on a proposal",
        description="Open or decided. Its author, and whoever decided, copied or commented on it, are notified.",
        request=serializers.NewCommentSerializer,
        responses={201: serializers.ProposalCommentSerializer, **NOT_FOUND},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Add a comment."""
        fields = validated(serializers.NewCommentSerializer, request.data)
        made = comment_proposal(signed_in_user(request), _proposal(request, pk), fields["text"])
        return Response(serializers.ProposalCommentSerializer(made).data, 201)


def _proposal(request: Request, pk: int) -> PolicyProposal:
    found = proposal(signed_in_user(request), pk)
    if found is None:
        raise NotFound
    return found
