"""The audit log, for API clients."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.queries.audit import AuditFilters, ShownEntry, audit_page

MAX_ID = 2**63 - 1


class AuditQuerySerializer(serializers.Serializer[Any]):
    actor = serializers.CharField(max_length=256, required=False, help_text="Part of the actor's name.")
    verb = serializers.CharField(max_length=64, required=False)
    object_type = serializers.CharField(max_length=64, required=False)
    object = serializers.CharField(max_length=256, required=False, help_text="The object's id, or part of its name.")
    text = serializers.CharField(max_length=256, required=False, help_text="Part of any of the names.")
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    before = serializers.IntegerField(min_value=1, max_value=MAX_ID, required=False, help_text="`next` of a page.")
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)


class AuditEntrySerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="entry.pk")
    position = serializers.IntegerField(
        source="seal.position", allow_null=True, default=None, help_text="In the chain; null until it is sealed."
    )
    at = serializers.DateTimeField(source="entry.at")
    actor = serializers.IntegerField(source="entry.actor_id", allow_null=True)
    actor_name = serializers.CharField()
    verb = serializers.CharField(source="entry.verb")
    object_type = serializers.CharField(source="entry.object_type")
    object_id = serializers.CharField(source="entry.object_id")
    object_name = serializers.CharField()
    before = serializers.DictField(allow_null=True)
    after = serializers.DictField(allow_null=True)
    origin = serializers.CharField(source="entry.origin")
    address = serializers.SerializerMethodField()
    agent = serializers.SerializerMethodField()
    session = serializers.SerializerMethodField()
    token = serializers.SerializerMethodField()
    request_id = serializers.CharField(source="entry.request_id")

    def get_address(self, shown: ShownEntry) -> str:
        return shown.source.get("address", "")

    def get_agent(self, shown: ShownEntry) -> str:
        return shown.source.get("agent", "")

    def get_session(self, shown: ShownEntry) -> str:
        return shown.source.get("session", "")

    def get_token(self, shown: ShownEntry) -> str:
        return shown.source.get("token", "")


class AuditPageSerializer(serializers.Serializer[Any]):
    results = AuditEntrySerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class AuditLogView(APIView):
    @extend_schema(
        tags=["accounts"],
        operation_id="list_audit_entries",
        summary="List audit entries, newest first",
        description=(
            "Addresses, agents, sessions and token prefixes of others are `hidden` but to Security Admins. A value that"
            " was erased is `erased`."
        ),
        parameters=[AuditQuerySerializer],
        responses=AuditPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """Return a page of entries."""
        query = AuditQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        values = dict(query.validated_data)
        before, limit = values.pop("before", None), values.pop("limit")
        results, following = audit_page(cast("User", request.user), AuditFilters(**values), before, limit)
        return Response(AuditPageSerializer({"results": results, "next": following}).data)
