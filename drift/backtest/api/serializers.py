"""API serializers of backtests."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from drift.backtest.models import BacktestRun, RunState
from drift.policy.domain.document_schema import REFERENCE
from drift.web.serializers import StrictSerializer


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.JSONField):
    """Any JSON object."""


@extend_schema_field(REFERENCE)
class PolicyDocumentField(serializers.JSONField):
    """A policy document, which sensor.policy validates."""


class StartSerializer(StrictSerializer):
    """The documents to compare. Without one: your draft with the version it started from."""

    document = PolicyDocumentField(required=False)
    base = serializers.IntegerField(
        required=False, min_value=1, help_text="The version to compare the document with; default: the latest."
    )
    days = serializers.IntegerField(default=7, min_value=1, help_text="Length of the period, today (UTC) included.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if "base" in attrs and "document" not in attrs:
            raise serializers.ValidationError({"base": ["allowed only with a document: a draft has its own base"]})
        return attrs


class RunSerializer(serializers.ModelSerializer[BacktestRun]):
    """A run, without its result."""

    state = serializers.CharField(read_only=True, help_text=", ".join(RunState.values))
    started_by = serializers.EmailField(source="started_by.email", read_only=True)

    class Meta:
        model = BacktestRun
        fields: ClassVar = [
            *("id", "state", "progress", "base", "digest", "first_day", "until"),
            *("started_by", "created_at", "finished_at", "error"),
        ]


class RunResultSerializer(RunSerializer):
    """A run with its result, null until it is done."""

    result = ObjectField(allow_null=True)

    class Meta(RunSerializer.Meta):
        fields: ClassVar = [*RunSerializer.Meta.fields, "result"]


class RunListSerializer(serializers.Serializer[Any]):
    """The newest runs first."""

    results = RunSerializer(many=True)
