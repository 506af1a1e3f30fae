"""The responses that every API call may give, which no view declares: added to the OpenAPI schema."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.urls import resolve
from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import CharField, ListField, ListSerializer

from accounts.plain_text import one_line, several_lines
from accounts.roles import Role
from drift.policy.domain.document_schema import DOCUMENT, NAME
from drift.web.serializers import StrictSerializer
from portal.access import TABLE
from sensor.names.visible_text import visible_pattern

ERROR: Final = {
    "type": "object",
    "description": "Every error. Some codes come with more keys, as the response's description says.",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "description": "For programs: it keeps its meaning."},
        "message": {"type": "string", "description": "For people: one sentence."},
        "field": {"type": "string", "description": "The parameter, header or key of the body that is invalid."},
    },
}
CONTENT: Final = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
DESCRIPTIONS: Final = {
    400: "The body is not JSON, or a query parameter or key of the body is unknown or invalid (`field`).",
    401: "The token is missing, unknown, revoked or expired.",
    403: "The token's scopes, or the role or scope of its user, do not allow this.",
    404: "There is none, or it is outside what the user may see.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    429: "Too many requests; `Retry-After` has the seconds to wait.",
}
METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})


def add_common_responses(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Return the schema with every error response that follows from the permission table and from a body."""
    result["components"]["schemas"] |= {"Error": ERROR, NAME: DOCUMENT}
    for path, operations in result["paths"].items():
        for method in METHODS & set(operations):
            operation = operations[method]
            body = operation.get("requestBody", {})
            if any("required" in content["schema"] for content in body.get("content", {}).values()):
                body["required"] = True
            for status in _common_statuses(path, method, operation):
                operation["responses"].setdefault(str(status), {"description": DESCRIPTIONS[status]})
            for status, response in operation["responses"].items():
                if status >= "400" and "properties" not in str(response.get("content", "")):
                    response["content"] = CONTENT
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result


def _common_statuses(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    in_path = [parameter for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
    statuses = {400} | ({404} if in_path else set())
    if isinstance(TABLE[_view_name(path, in_path)].required(method.upper()), Role):
        statuses |= {401, 403, 429}
    return statuses | ({413, 415} if "requestBody" in operation else set())


def _view_name(path: str, in_path: list[dict[str, Any]]) -> str:
    for parameter in in_path:
        value = str(uuid.UUID(int=0)) if parameter["schema"].get("format") == "uuid" else "1"
        path = path.replace(f"{{{parameter['name']}}}", value)
    return resolve(path).view_name


class Schema(AutoSchema):
    """REST framework's schema, which also says which characters texts may have, and where unknown keys are rejected."""

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        mapped = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if mapped.get("type") != "object":
            return mapped
        if isinstance(serializer, StrictSerializer):
            mapped["additionalProperties"] = False
            mapped |= serializer.schema_bounds
        if direction == "request":
            for name, field in serializer.fields.items():
                _add_bounds(mapped["properties"].get(name, {}), field)
        return mapped


def _add_bounds(mapped: dict[str, Any], field: Any) -> None:
    if isinstance(field, ListSerializer) and (most := getattr(field, "max_length", None)):
        mapped["maxItems"] = most
    elif isinstance(field, ListField):
        _add_bounds(mapped.get("items", {}), field.child)
    elif type(field) is CharField and mapped.get("type") == "string":
        mapped["pattern"] = _text_pattern(field)


def _text_pattern(field: CharField) -> str:
    """Return the regular expression of what a text field accepts: no hidden character, or only no NUL; not blank."""
    one = "[^\\u0000]"
    if one_line in field.validators or several_lines in field.validators:
        one = visible_pattern(several_lines=several_lines in field.validators)
    return f"^{one}*$" if field.allow_blank else rf"^{one}*(?!\s){one}{one}*$"
