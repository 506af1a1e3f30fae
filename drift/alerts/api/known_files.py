"""Lists of known files for API clients, and looking files up (docs/priority.md#hash-lists).

Owners add and delete lists on the page: no token acts as an Owner.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.alerts.actions.hash_lists import audit_look_up
from drift.alerts.domain.hash_sums import MAX_LOOKED_UP
from drift.alerts.models import HashList, HashVerdict
from drift.alerts.queries.hash_look_up import KnownFile, look_up
from drift.web.requests import signed_in_user
from drift.web.serializers import StrictSerializer, validated

LIST = {
    "type": "object",
    "required": ["id", "name", "verdict", "size", "created_by", "created_at"],
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": "string"},
        "verdict": {"type": "string", "enum": HashVerdict.values},
        "size": {"type": "integer", "description": "Sums."},
        "created_by": {"type": "string", "nullable": True, "description": "Email address."},
        "created_at": {"type": "string", "format": "date-time"},
    },
}
LISTS = {"type": "object", "required": ["lists"], "properties": {"lists": {"type": "array", "items": LIST}}}
DAY = {"type": "string", "format": "date", "nullable": True}
FILE = {
    "type": "object",
    "required": ["sha256", "good", "bad", "workloads", "first_seen_on", "last_seen_on", "open_alerts"],
    "description": "Workloads, days and alerts are those of the caller's scope.",
    "properties": {
        "sha256": {"type": "string"},
        "good": {"type": "array", "items": {"type": "string"}, "description": "Names of the lists that have it."},
        "bad": {"type": "array", "items": {"type": "string"}, "description": "Names of the lists that have it."},
        "workloads": {"type": "integer"},
        "first_seen_on": DAY,
        "last_seen_on": DAY,
        "open_alerts": {"type": "integer"},
    },
}
FILES = {"type": "object", "required": ["files"], "properties": {"files": {"type": "array", "items": FILE}}}


class LookedUpFiles(StrictSerializer):
    """The files to look up."""

    sums = serializers.ListField(
        child=serializers.RegexField(r"^([0-9a-fA-F]{64})\Z", max_length=64, trim_whitespace=False),
        min_length=1,
        max_length=MAX_LOOKED_UP,
        help_text="SHA-256 sums.",
    )


class KnownFilesView(APIView):
    """The lists of known files."""

    @extend_schema(operation_id="known_files", responses={200: LISTS})
    def get(self, request: Request) -> Response:
        """List them by name."""
        lists = HashList.objects.select_related("created_by")
        return Response({"lists": [_list(each) for each in lists]})


class LookUpFilesView(APIView):
    """What is known of files."""

    @extend_schema(operation_id="known_files_look_up", request=LookedUpFiles, responses={200: FILES})
    def post(self, request: Request) -> Response:
        """Return what is known of up to 1,000 files, in the order given. Each look-up is in the audit log."""
        user, sent = signed_in_user(request), validated(LookedUpFiles, request.data)
        hashes = list(dict.fromkeys(each.lower() for each in sent["sums"]))
        audit_look_up(user, hashes)
        return Response({"files": [_file(each) for each in look_up(user, hashes)]})


def _list(row: HashList) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "verdict": row.verdict,
        "size": row.size,
        "created_by": row.created_by.email if row.created_by else None,
        "created_at": row.created_at.isoformat(),
    }


def _file(each: KnownFile) -> dict[str, Any]:
    days = {"first_seen_on": each.first_seen_on, "last_seen_on": each.last_seen_on}
    return {
        "sha256": each.sha256,
        "good": each.good,
        "bad": each.bad,
        "workloads": each.workloads,
        **{name: day.isoformat() if day else None for name, day in days.items()},
        "open_alerts": each.open_alerts,
    }
