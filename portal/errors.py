"""Every API error in one shape: {"code", "message", "field"?, "index"?} (WIRE: Errors)."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's answer in our shape. None, for what is no API error, lets Django answer 500."""
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, ValidationError):
        response.data = _validation_body(error.detail)
    elif isinstance(error, APIException) and isinstance(error.detail, str):
        extra = getattr(error, "extra", {})
        response.data = {
            "code": getattr(error.detail, "code", error.default_code),
            "message": str(error.detail),
            **extra,
        }
    else:
        response.data = {"code": _code_of(response.status_code), "message": str(response.data.get("detail", ""))}
    return response


def _code_of(status: int) -> str:
    return {404: "not_found", 403: "forbidden"}.get(status, "error")


def _validation_body(detail: Any, path: str = "") -> dict[str, Any]:
    """The first field error, with its place: a person mends one thing at a time, a program knows where."""
    if isinstance(detail, dict):
        key, inner = next(iter(detail.items()))
        return _validation_body(inner, f"{path}.{key}" if path else str(key))
    if isinstance(detail, list):
        place = next(i for i, item in enumerate(detail) if item)
        inner = detail[place]
        return _validation_body(inner, f"{path}[{place}]" if isinstance(inner, (dict, list)) else path)
    body = {"code": getattr(detail, "code", "invalid"), "message": str(detail)}
    return body | ({"field": path} if path and path != "non_field_errors" else {})
