"""API input that is checked strictly, and pages as the OpenAPI schema shows them."""

from __future__ import annotations

from typing import Any, cast

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Input whose unknown keys are rejected: a misspelt key would otherwise be ignored silently."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = self.initial_data
        unknown = sorted(set(given) - set(self.fields)) if isinstance(given, dict) else []
        if unknown:
            raise serializers.ValidationError({unknown[0]: ["unknown key"]})
        return attrs


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
