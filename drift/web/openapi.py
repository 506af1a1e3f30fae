"""OpenAPI responses that every app's API has."""

from __future__ import annotations

from typing import Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

NOT_FOUND: Final = {404: OpenApiTypes.OBJECT}


def error_response(codes: str) -> OpenApiResponse:
    """Return an error response whose description lists the `code`s that API clients may receive."""
    return OpenApiResponse(OpenApiTypes.OBJECT, codes)
