"""API input that is checked strictly, and pages as the OpenAPI schema shows them."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Input whose unknown keys are rejected: a misspelt key would otherwise be ignored silently."""

    unknown_key: ClassVar = ("unknown key", "invalid")
    """Message and code."""
    schema_bounds: ClassVar[dict[str, Any]] = {}
    """Keywords of JSON Schema for what `validate` checks, such as `minProperties`."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated input. Raises ValidationError, which names the first unknown key."""
        # Here rather than in `validate`, which nested serializers call without `initial_data`.
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            message, code = self.unknown_key
            raise serializers.ValidationError({unknown[0]: [message]}, code=code)
        return super().to_internal_value(data)


class ParameterList(serializers.ListField):
    """A query parameter that may be repeated. An error names the parameter, whose values have no index."""

    def run_child_validation(self, data: Any) -> list[Any]:
        """Return the validated values. Raises ValidationError for the first invalid one."""
        return [self.child.run_validation(value) for value in data]


def validated(serializer: type[serializers.BaseSerializer[Any]], data: Any) -> dict[str, Any]:
    """Return the validated input; DRF answers 400 with the field's name where it is invalid."""
    parsed = serializer(data=data)
    parsed.is_valid(raise_exception=True)
    return cast("dict[str, Any]", parsed.validated_data)


def page_serializer(serializer: type[serializers.ModelSerializer[Any]]) -> type[serializers.Serializer[Any]]:
    """Return the serializer of `{"results": […], "next": …}`, named after the rows' in the schema."""
    name = serializer.__name__.removesuffix("Serializer") + "Page"
    fields = {"results": serializer(many=True), "next": serializers.CharField(allow_null=True)}
    return type(name, (serializers.Serializer,), fields)
