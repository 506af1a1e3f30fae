"""Versions of the policy: list, get, save, restore."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.policy.actions.versions import restore_version, save_document
from drift.policy.api import serializers
from drift.policy.api.responses import CONFLICT, INVALID, SAVED, TAG, saved_response
from drift.policy.queries.versions import visible_version, visible_versions
from drift.web.cursors import rows_before
from drift.web.openapi import NOT_FOUND
from drift.web.requests import signed_in_user
from drift.web.serializers import validated, validated_parameters


class VersionListView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_versions",
        summary="List versions, newest first",
        parameters=[serializers.ListQuerySerializer],
        responses=serializers.VersionListSerializer,
    )
    def get(self, request: Request) -> Response:
        """Return a page of versions without their documents."""
        query = validated_parameters(serializers.ListQuerySerializer, request.query_params.dict())
        versions = visible_versions(signed_in_user(request))
        results, following = rows_before(versions, "number", query.get("before"), query["limit"])
        return Response(serializers.VersionListSerializer({"results": results, "next": following}).data)

    @extend_schema(
        tags=TAG,
        operation_id="save_document",
        summary="Save a whole document as the next version",
        description="Rejected unless version `base` is the latest. A document equal to it creates no version (200).",
        request=serializers.SaveDocumentSerializer,
        responses={**SAVED, 409: CONFLICT, 422: INVALID},
    )
    def post(self, request: Request) -> Response:
        """Save, atomically."""
        fields = validated(serializers.SaveDocumentSerializer, request.data)
        saved = save_document(signed_in_user(request), **fields)
        return saved_response(saved)


class VersionDetailView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="get_version",
        summary="Get a version with its document",
        responses={200: serializers.VersionDocumentSerializer, **NOT_FOUND},
    )
    def get(self, request: Request, number: int) -> Response:
        """Return one version."""
        version = visible_version(signed_in_user(request), number)
        if version is None:
            raise NotFound
        return Response(serializers.VersionDocumentSerializer(version).data)


class VersionRestoreView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="restore_version",
        summary="Save an old version's document as the next version",
        description="Rejected unless version `base` is the latest. A document equal to it creates no version (200).",
        request=serializers.RestoreSerializer,
        responses={**SAVED, 409: CONFLICT},
    )
    def post(self, request: Request, number: int) -> Response:
        """Save the old document under a new number."""
        fields = validated(serializers.RestoreSerializer, request.data)
        user = signed_in_user(request)
        if not visible_versions(user).filter(number=number).exists():
            raise NotFound
        return saved_response(restore_version(user, number, **fields))
