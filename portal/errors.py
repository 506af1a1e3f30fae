"""API errors in one format: {"code", "message", "field"?, "index"?}."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return DRF's error response in our format; None for other exceptions, which Django turns into a 500."""
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
        response.data = {"code": _error_code(response.status_code), "message": str(response.data.get("detail", ""))}
    return response


def _error_code(status: int) -> str:
    return {404: "not_found", 403: "forbidden"}.get(status, "error")


def _validation_body(detail: Any, path: str = "") -> dict[str, Any]:
    """Return the first field error, with the path of its field."""
    if isinstance(detail, dict):
        key, inner = next(iter(detail.items()))
        return _validation_body(inner, f"{path}.{key}" if path else str(key))
    if isinstance(detail, list):
        index = next(i for i, item in enumerate(detail) if item)
        inner = detail[index]
        return _validation_body(inner, f"{path}[{index}]" if isinstance(inner, (dict, list)) else path)
    body = {"code": getattr(detail, "code", "invalid"), "message": str(detail)}
    return body | ({"field": path} if path and path != "non_field_errors" else {})
