"""JSON bodies of API requests."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

from portal.body_limits import size, view_limit


class BodyOverLimit(APIException):
    """413: the body is longer than this URL takes."""

    status_code = 413
    default_code = "too_large"


class BoundedJSONParser(JSONParser):
    """DRF's parser, but a body that is nested too deeply is a client error (400), not a server error (500)."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the JSON value of a body. Raises ParseError."""
        request = (parser_context or {}).get("request")
        match = request.resolver_match if request else None
        limit = view_limit(match.view_name if match else "")
        content = stream.read(limit + 1)
        if len(content) > limit:
            raise BodyOverLimit(f"The body may have at most {size(limit)}.")
        try:
            return super().parse(io.BytesIO(content), media_type, parser_context)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
