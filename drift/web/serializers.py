"""API input that is checked strictly, and pages as the OpenAPI schema shows them."""

from __future__ import annotations

from typing import Any, ClassVar, Final, cast

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Input whose unknown keys are rejected: a misspelt key would otherwise be ignored silently."""

    unknown_key: ClassVar = ("unknown key", "invalid")
    """Message and code."""
    schema_bounds: ClassVar[dict[str, Any]] = {}
    """Keywords of JSON Schema for what `validate` checks, such as `minProperties`."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated input. Raises ValidationError, which names the first unknown key or wrong type."""
        # Here rather than in `validate`, which nested serializers call without `initial_data`.
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            message, code = self.unknown_key
            raise serializers.ValidationError({unknown[0]: [message]}, code=code)
        if self.context.get("is_json") and isinstance(data, dict):
            for name, field in self.fields.items():
                if name in data and (error := _json_type_error(field, data[name])):
                    raise serializers.ValidationError({name: [error]}, code="invalid")
        return super().to_internal_value(data)


_JSON_TYPES: Final[tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], type, str], ...]] = (
    (serializers.BooleanField, bool, "true or false"),
    (serializers.IntegerField, int, "an integer"),
    (serializers.CharField, str, "a string"),
    (serializers.ChoiceField, str, "a string"),
    (serializers.DateTimeField, str, "a string"),
)


def _json_type_error(field: serializers.Field[Any, Any, Any, Any], value: Any) -> str:
    """Return what is wrong with a value's JSON type, "" if nothing.

    REST framework takes "5" for a number, 5 for a string and "off" for false, as forms need it. A document of another
    type than the schema's was made by a program that means something else.
    """
    if value is None:
        return ""  # the field itself knows whether it may be null
    if isinstance(field, (serializers.ListField, serializers.DictField)):
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return next((error for item in items if (error := _json_type_error(field.child, item))), "")
    for kind, json_type, name in _JSON_TYPES:
        if isinstance(field, kind):
            is_whole = json_type is int and isinstance(value, float) and value.is_integer()
            is_right = isinstance(value, json_type) and (json_type is bool or not isinstance(value, bool))
            return "" if is_right or is_whole else f"Must be {name}."
    return ""


class ParameterList(serializers.ListField):
    """A query parameter that may be repeated. An error names the parameter, whose values have no index."""

    def run_child_validation(self, data: Any) -> list[Any]:
        """Return the validated values. Raises ValidationError for the first invalid one."""
        return [self.child.run_validation(value) for value in data]


def validated(serializer: type[serializers.BaseSerializer[Any]], data: Any) -> dict[str, Any]:
    """Return the validated body, of the schema's JSON types; 400 with the field's name where it is invalid."""
    return _validated(serializer(data=data, context={"is_json": True}))


def validated_parameters(serializer: type[serializers.BaseSerializer[Any]], query: Any) -> dict[str, Any]:
    """Return the validated query parameters, which are strings; 400 with the parameter's name where it is invalid."""
    return _validated(serializer(data=query))


def _validated(parsed: serializers.BaseSerializer[Any]) -> dict[str, Any]:
    parsed.is_valid(raise_exception=True)
    return cast("dict[str, Any]", parsed.validated_data)


def page_serializer(serializer: type[serializers.ModelSerializer[Any]]) -> type[serializers.Serializer[Any]]:
    """Return the serializer of `{"results": […], "next": …}`, named after the rows' in the schema."""
    name = serializer.__name__.removesuffix("Serializer") + "Page"
    fields = {"results": serializer(many=True), "next": serializers.CharField(allow_null=True)}
    return type(name, (serializers.Serializer,), fields)
