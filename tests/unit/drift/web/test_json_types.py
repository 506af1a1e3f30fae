"""A body of the API has the JSON types of its schema; query parameters are strings."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from rest_framework import serializers

from drift.web.serializers import StrictSerializer, validated, validated_parameters


class Inner(StrictSerializer):
    number = serializers.IntegerField()


class Body(StrictSerializer):
    schema_bounds: ClassVar = {}
    number = serializers.IntegerField(required=False, allow_null=True)
    text = serializers.CharField(required=False)
    flag = serializers.BooleanField(required=False)
    choice = serializers.ChoiceField(["1", "2"], required=False)
    time = serializers.DateTimeField(required=False)
    numbers = serializers.ListField(child=serializers.IntegerField(), required=False)
    revisions = serializers.DictField(child=serializers.IntegerField(), required=False)
    inner = Inner(many=True, required=False)


@pytest.mark.parametrize(
    "body",
    [
        {"number": "5"},
        {"number": True},
        {"number": 5.5},
        {"text": 226},
        {"text": True},
        {"flag": "off"},
        {"flag": 1},
        {"choice": 1},
        {"time": 20261129},
        {"numbers": [1, "2"]},
        {"numbers": [True]},
        {"revisions": {"7": "1"}},
        {"inner": [{"number": "1"}]},
    ],
)
def test_a_value_of_another_json_type_is_rejected(body: dict[str, Any]) -> None:
    with pytest.raises(serializers.ValidationError):
        validated(Body, body)


@pytest.mark.parametrize(
    "body",
    [
        {"number": 5},
        {"number": 5.0},
        {"number": None},
        {"text": "226"},
        {"flag": False},
        {"choice": "1"},
        {"time": "2026-11-29T12:00:00Z"},
        {"numbers": [1, 2]},
        {"revisions": {"7": 1}},
        {"inner": [{"number": 1}]},
    ],
)
def test_a_value_of_the_schema_s_type_is_accepted(body: dict[str, Any]) -> None:
    assert set(validated(Body, body)) == set(body)


def test_a_query_parameter_is_a_string_whatever_its_field() -> None:
    assert validated_parameters(Body, {"number": "5", "flag": "true"}) == {"number": 5, "flag": True}
