"""Signed versions for people's programs, and the public keys that they are checked with."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.fleet.actions import bundles
from drift.fleet.api import serializers as shapes
from drift.fleet.api.estate import MISSING, TAG
from drift.fleet.views.bundles import LARGEST
from drift.policy.models import PolicyVersion


class SignedBundleView(APIView):
    @extend_schema(
        tags=["policy"],
        operation_id="get_bundle",
        summary="Get a version as sensors get it",
        description="Ed25519 over exactly the bytes of `payload`; all in base64.",
        responses={200: shapes.BundleSerializer, **MISSING},
    )
    def get(self, request: Request, number: int) -> HttpResponse:
        """The signed bundle, byte for byte."""
        if number > LARGEST:
            raise NotFound
        try:
            return HttpResponse(bundles.bundle_file(number), content_type="application/json")
        except PolicyVersion.DoesNotExist:
            raise NotFound from None


class PublicKeysView(APIView):
    @extend_schema(
        tags=TAG,
        operation_id="list_public_keys",
        summary="List the public keys that sensors accept",
        responses=shapes.PublicKeysSerializer,
    )
    def get(self, request: Request) -> Response:
        """Newest first; a retired key is not among them."""
        halves = [bundles.public_half(key) for key in bundles.public_keys()]
        return Response({"results": [{"key_id": half.key_id, "public_key": half.public_key} for half in halves]})
