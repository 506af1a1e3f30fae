"""The alerts app: drift events, alerts and their triage."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AlertsConfig(AppConfig):
    name = "drift.alerts"
    label = "alerts"

    def ready(self) -> None:
        post_migrate.connect(_create_partitions, sender=self)


def _create_partitions(**_: Any) -> None:
    """Prepare the event table after every `migrate`, so that it can take events at once."""
    from drift.alerts.actions.partitions import prepare_event_table

    prepare_event_table()
