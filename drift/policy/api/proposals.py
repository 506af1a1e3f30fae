"""Proposals for people's programs: who may not save proposes, an admin accepts or declines."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.policy.actions import proposals as proposing
from drift.policy.api import serializers
from drift.policy.api.versions import (
    IF_MATCH,
    SAVED,
    TAG,
    UNSEEN,
    draft_answer,
    input_of,
    page_of,
    point_in,
    saved_answer,
    user_in,
)
from drift.policy.models import PolicyProposal
from drift.policy.queries import proposals as reading

MISSING = {404: OpenApiTypes.OBJECT}
REFUSED = OpenApiResponse(OpenApiTypes.OBJECT, "proposal_decided, proposal_taken")


class ProposalList(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_proposals",
        summary="List proposals, newest first",
        parameters=[serializers.ProposalQuerySerializer],
        responses=serializers.ProposalListSerializer,
    )
    def get(self, request: Request) -> Response:
        """A page of proposals without their documents."""
        wanted = input_of(serializers.ProposalQuerySerializer, request.query_params.dict())
        rows = reading.listed(user_in(request))
        if "state" in wanted:
            rows = rows.filter(state=wanted["state"])
        return Response(serializers.ProposalListSerializer(page_of(rows, "pk", wanted)).data)

    @extend_schema(
        tags=TAG,
        operation_id="propose",
        summary="Propose your draft",
        description="Your draft then starts again from the latest version. One open proposal each.",
        parameters=[IF_MATCH],
        request=serializers.SaveDraftSerializer,
        responses={
            201: serializers.ProposalDocumentSerializer,
            409: OpenApiResponse(OpenApiTypes.OBJECT, "stale_draft, nothing_to_propose, already_proposed"),
            **UNSEEN,
        },
    )
    def post(self, request: Request) -> Response:
        """Ask the admins to save it; the answer says so where one of them has decided by now."""
        given = input_of(serializers.SaveDraftSerializer, request.data)
        _, made = proposing.propose(user_in(request), point_in(request), given["comment"])
        return Response(serializers.ProposalDocumentSerializer(_proposal(request, made.pk)).data, 201)


class ProposalDetail(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_proposal",
        summary="Get a proposal with its document and changes",
        responses={200: serializers.ProposalDocumentSerializer, **MISSING},
    )
    def get(self, request: Request, pk: int) -> Response:
        """One proposal."""
        return Response(serializers.ProposalDocumentSerializer(_proposal(request, pk)).data)


class ProposalAccept(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="accept_proposal",
        summary="Save a proposal's changes as the next version",
        description="On top of the latest version, which `base` names. Nobody's draft is touched.",
        request=serializers.AcceptSerializer,
        responses={
            **SAVED,
            **MISSING,
            409: OpenApiResponse(
                OpenApiTypes.OBJECT,
                "newer_version, unknown_version, proposal_clashes (with `clashes`), proposal_decided, proposal_taken",
            ),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """200 where the latest version holds the changes already."""
        given = input_of(serializers.AcceptSerializer, request.data)
        proposal = _proposal(request, pk)
        return saved_answer(proposing.accept(user_in(request), proposal, given["base"], given["comment"]))


class ProposalDecline(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="decline_proposal",
        summary="Decline a proposal, and say why",
        request=serializers.DeclineSerializer,
        responses={200: serializers.ProposalSerializer, **MISSING, 409: REFUSED},
    )
    def post(self, request: Request, pk: int) -> Response:
        """The author sees the word."""
        given = input_of(serializers.DeclineSerializer, request.data)
        proposing.decline(user_in(request), _proposal(request, pk), given["word"])
        return Response(serializers.ProposalSerializer(_proposal(request, pk)).data)


class ProposalWithdraw(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="withdraw_proposal",
        summary="Take your own proposal back into your draft",
        parameters=[IF_MATCH],
        request=None,
        responses={200: serializers.DraftSerializer, **MISSING, 409: REFUSED, **UNSEEN},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Its changes come on top of what is in the draft; 404 where it is somebody else's."""
        found = _proposal(request, pk)
        if found.author_id != user_in(request).pk:
            raise NotFound
        state, _ = proposing.withdraw(user_in(request), point_in(request), found)
        return draft_answer(state)


def _proposal(request: Request, pk: int) -> PolicyProposal:
    found = reading.proposal(user_in(request), pk)
    if found is None:
        raise NotFound
    return found
