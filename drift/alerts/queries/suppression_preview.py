"""The alerts that a suppression rule would have dismissed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec
from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.suppression_match import Conditions, compile_suppression
from drift.alerts.models import Alert
from sensor import wire

PERIOD: Final = dt.timedelta(days=30)
MAX_ALERTS: Final = 10_000
"""Alerts that are evaluated, the newest: each costs the conversion of its stored event."""
MAX_EXAMPLES: Final = 5


@dataclass
class SuppressionPreview:
    """How many of the evaluated alerts a rule would have dismissed, with the newest of them as examples."""

    evaluated: int = 0
    dismissed: int = 0
    examples: list[Alert] = field(default_factory=list)


def preview_suppression(user: User, conditions: Conditions, environments: Collection[int]) -> SuppressionPreview:
    """Evaluate valid conditions on the last PERIOD's alerts."""
    rule = compile_suppression(0, "", frozenset(environments), conditions)
    alerts = Alert.objects.visible_to(user).filter(created_at__gte=timezone.now() - PERIOD, sample=False)
    alerts = alerts.select_related("detail", "cluster", "pulse").order_by("-pk")[:MAX_ALERTS]
    preview = SuppressionPreview()
    for alert in alerts.iterator(500):
        preview.evaluated += 1
        stored = alert.detail.event
        event = msgspec.convert(stored, wire.Event)
        flat_event = wire.flatten(event, stored["provider"], stored["account"], stored["cluster_name"])
        if rule.matches(alert.cluster.environment_id, flat_event, event.process.argv):
            preview.dismissed += 1
            if len(preview.examples) < MAX_EXAMPLES:
                preview.examples.append(alert)
    return preview
