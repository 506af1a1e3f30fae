"""Signed versions for API clients, and the public keys that verify them."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.fleet.actions.bundles import bundle_file, public_keys
from drift.fleet.api.serializers import BundleSerializer, PublicKeysSerializer
from drift.policy.models import PolicyVersion
from drift.web.openapi import NOT_FOUND


class SignedBundleView(APIView):
    @extend_schema(
        tags=["policy"],
        operation_id="get_bundle",
        summary="Get a version as sensors receive it",
        description="An Ed25519 signature over exactly the bytes of `payload`; all in base64.",
        responses={200: BundleSerializer, **NOT_FOUND},
    )
    def get(self, request: Request, number: int) -> HttpResponse:
        """Return the signed bundle, byte for byte."""
        try:
            return HttpResponse(bundle_file(number), content_type="application/json")
        except PolicyVersion.DoesNotExist:
            raise NotFound from None


class PublicKeysView(APIView):
    @extend_schema(
        tags=["fleet"],
        operation_id="list_public_keys",
        summary="List the public keys that sensors accept",
        responses=PublicKeysSerializer,
    )
    def get(self, request: Request) -> Response:
        """Newest first, without retired keys."""
        results = [{"key_id": key.key_id, "public_key": key.public_key} for key in public_keys()]
        return Response({"results": results})
