"""OpenAPI responses that every app's API has."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

NO_NUL: Final = r"^[^\u0000]*$"
"""PostgreSQL cannot store NUL, so no string may have one."""
NOT_FOUND: Final = {404: OpenApiTypes.OBJECT}


def error_response(codes: str) -> OpenApiResponse:
    """Return an error response whose description lists the `code`s that API clients may receive."""
    return OpenApiResponse(OpenApiTypes.OBJECT, codes)


def struct_schema(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON schema of a struct, with nested structs inlined: drf-spectacular does not keep `$defs`."""
    (root,), parts = msgspec.json.schema_components([shape], ref_template="{name}")
    resolved: dict[str, Any] = _resolve(root, parts)
    return resolved


def _resolve(node: Any, parts: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_resolve(item, parts) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolve(parts[node["$ref"]], parts)
    # OpenAPI 3.0 has no `propertyNames`, and does not allow an empty `required`.
    left_out = {"propertyNames", *(["required"] if node.get("required") == [] else [])}
    whole = {key: _resolve(value, parts) for key, value in node.items() if key not in left_out}
    if whole.get("type") == "string" and not {"pattern", "format"} & set(whole):
        whole["pattern"] = NO_NUL
    return _nullable(whole) if {"type": "null"} in whole.get("anyOf", []) else whole


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    """Replace `anyOf` with null by `nullable`: OpenAPI 3.0 has no null type."""
    (only,) = (option for option in node["anyOf"] if option != {"type": "null"})
    return {**{key: value for key, value in node.items() if key != "anyOf"}, **only, "nullable": True}
