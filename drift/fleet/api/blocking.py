"""The switch of all blocking, for API clients."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.fleet.actions.blocking_switch import resume_blocking, stop_all_blocking
from drift.fleet.api.serializers import BlockingChange, BlockingSerializer
from drift.fleet.models import FleetState
from drift.fleet.queries.blocking_status import acknowledgement
from drift.fleet.queries.resume_request import resume_requester
from drift.web.requests import signed_in_user
from drift.web.serializers import validated


class BlockingView(APIView):
    @extend_schema(tags=["fleet"], operation_id="get_blocking", responses=BlockingSerializer)
    def get(self, request: Request) -> Response:
        """Return whether all blocking is stopped, and how many sensors have acknowledged that."""
        state = FleetState.objects.get()
        counts = acknowledgement(signed_in_user(request), state)
        requester = resume_requester(state)
        facts = {
            "blocking_stopped": state.blocking_stopped,
            "blocking_changed_at": state.blocking_changed_at,
            "blocking_reason": state.blocking_reason,
            "acknowledged": counts.acknowledged,
            "sensors": counts.total,
            "resume_asked_by": requester.email if requester else None,
        }
        return Response(BlockingSerializer(facts).data)

    @extend_schema(tags=["fleet"], operation_id="switch_blocking", request=BlockingChange, responses=BlockingSerializer)
    def put(self, request: Request) -> Response:
        """Stop all blocking on every sensor, or resume it.

        Where a second approver is set up, the first request to resume sets `resume_asked_by` and blocking stays
        stopped; it resumes with the request of another Admin, within a day and unless another version is saved.
        """
        fields, user = validated(BlockingChange, request.data), signed_in_user(request)
        if fields["blocking_stopped"]:
            stop_all_blocking(user, fields["reason"])
        else:
            resume_blocking(user)
        return self.get(request)
