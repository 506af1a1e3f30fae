"""Proposals: users without save permission propose their draft, admins accept or decline."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.policy.actions.proposals import accept_proposal, decline_proposal, propose_draft, withdraw_proposal
from drift.policy.api import serializers
from drift.policy.api.responses import (
    IF_MATCH,
    NO_IF_MATCH,
    SAVED,
    TAG,
    draft_response,
    expected_draft,
    saved_response,
)
from drift.policy.models import PolicyProposal
from drift.policy.queries.proposals import listed_proposals, proposal
from drift.web.cursors import rows_before
from drift.web.openapi import NOT_FOUND, error_response
from drift.web.requests import signed_in_user
from drift.web.serializers import validated, validated_parameters

NOT_OPEN = error_response("proposal_decided, proposal_taken")


class ProposalListView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_proposals",
        summary="List proposals, newest first",
        parameters=[serializers.ProposalQuerySerializer],
        responses=serializers.ProposalListSerializer,
    )
    def get(self, request: Request) -> Response:
        """Return a page of proposals without their documents."""
        query = validated_parameters(serializers.ProposalQuerySerializer, request.query_params.dict())
        rows = listed_proposals(signed_in_user(request))
        if "state" in query:
            rows = rows.filter(state=query["state"])
        results, following = rows_before(rows, "pk", query.get("before"), query["limit"])
        return Response(serializers.ProposalListSerializer({"results": results, "next": following}).data)

    @extend_schema(
        tags=TAG,
        operation_id="propose",
        summary="Propose your draft",
        description="Your draft then starts again from the latest version. Each user can have one open proposal.",
        parameters=[IF_MATCH],
        request=serializers.ProposeSerializer,
        responses={
            201: serializers.ProposalDocumentSerializer,
            409: error_response("stale_draft, nothing_to_propose, already_proposed"),
            **NO_IF_MATCH,
        },
    )
    def post(self, request: Request) -> Response:
        """Propose the draft, and return the proposal as it is by then: an admin may already have decided."""
        fields = validated(serializers.ProposeSerializer, request.data)
        _, made = propose_draft(expected_draft(request), fields["comment"])
        return Response(serializers.ProposalDocumentSerializer(_proposal(request, made.pk)).data, 201)


class ProposalDetailView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_proposal",
        summary="Get a proposal with its document and changes",
        responses={200: serializers.ProposalDocumentSerializer, **NOT_FOUND},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return one proposal."""
        return Response(serializers.ProposalDocumentSerializer(_proposal(request, pk)).data)


class ProposalAcceptView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="accept_proposal",
        summary="Save a proposal's changes as the next version",
        description="Applies them to the latest version, which `base` names. Drafts are not changed.",
        request=serializers.AcceptSerializer,
        responses={
            **SAVED,
            **NOT_FOUND,
            409: error_response(
                "newer_version, unknown_version, proposal_clashes (with `clashes`), proposal_decided, proposal_taken, "
                "own_proposal, role_ended, detects_nothing, sensors_lack, default_may_not_block, backtest_missing, "
                "default_blocks"
            ),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """Save; 200 where the latest version already has the changes."""
        fields = validated(serializers.AcceptSerializer, request.data)
        user = signed_in_user(request)
        return saved_response(accept_proposal(user, _proposal(request, pk), **fields))


class ProposalDeclineView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="decline_proposal",
        summary="Decline a proposal with a comment",
        request=serializers.DeclineSerializer,
        responses={200: serializers.ProposalSerializer, **NOT_FOUND, 409: NOT_OPEN},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Decline; the author sees the comment (`word`)."""
        fields = validated(serializers.DeclineSerializer, request.data)
        decline_proposal(signed_in_user(request), _proposal(request, pk), fields["word"])
        return Response(serializers.ProposalSerializer(_proposal(request, pk)).data)


class ProposalWithdrawView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="withdraw_proposal",
        summary="Withdraw your own proposal into your draft",
        parameters=[IF_MATCH],
        request=None,
        responses={200: serializers.DraftSerializer, **NOT_FOUND, 409: NOT_OPEN, **NO_IF_MATCH},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Reapply its changes to the draft; 404 where it is another user's."""
        found = _proposal(request, pk)
        if found.author_id != signed_in_user(request).pk:
            raise NotFound
        state, _ = withdraw_proposal(expected_draft(request), found)
        return draft_response(state)


def _proposal(request: Request, pk: int) -> PolicyProposal:
    found = proposal(signed_in_user(request), pk)
    if found is None:
        raise NotFound
    return found
