"""Health for API clients."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from drift.fleet.models import Sensor
from drift.health.actions.health_report import HealthFinding, health_report
from drift.health.domain.outcomes import STATES
from drift.web.requests import signed_in_user


class HealthFindingSerializer(serializers.Serializer[Any]):
    """One condition of docs/health.md and whether it holds; of sensors how many have it, and the ids of the first."""

    code = serializers.CharField(source="condition.code")
    part = serializers.ChoiceField(("portal", "protection", "sensors"), source="condition.part")
    title = serializers.CharField(source="condition.title")
    state = serializers.ChoiceField(STATES, source="outcome.state")
    detail = serializers.CharField(source="outcome.detail", help_text="What the check found, or why it was not made.")
    since = serializers.DateTimeField(
        source="outcome.since", allow_null=True, help_text="When it began; null where that is not known."
    )
    fails = serializers.CharField(source="condition.fails")
    means = serializers.CharField(source="condition.means")
    action = serializers.CharField(source="condition.action")
    count = serializers.IntegerField(source="outcome.count")
    sensors = serializers.SerializerMethodField()

    def get_sensors(self, finding: HealthFinding) -> list[str]:
        return [str(sensor.pk) for sensor in finding.outcome.sensors if isinstance(sensor, Sensor)]


class HealthSerializer(serializers.Serializer[Any]):
    """`state` is `ok` only where every condition was checked and none holds."""

    state = serializers.ChoiceField(STATES)
    conditions = HealthFindingSerializer(many=True, source="findings")


class HealthView(APIView):
    @extend_schema(tags=["health"], operation_id="get_health", responses=HealthSerializer)
    def get(self, request: Request) -> Response:
        """Return every condition of docs/health.md that the caller may see, and whether it holds now."""
        return Response(HealthSerializer(health_report(signed_in_user(request))).data)
