"""The alerts app: drift events, alerts and their triage."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate


class AlertsConfig(AppConfig):
    name = "drift.alerts"
    label = "alerts"

    def ready(self) -> None:
        post_migrate.connect(_create_partitions, sender=self)


def _create_partitions(**_: Any) -> None:
    """Create the event table's partitions after every `migrate`, so that it can take events at once."""
    from drift.alerts.actions.partitions import keep_partitions
    from drift.alerts.domain.event_table import EVENT_TABLE

    # Migrating back to zero sends the signal too, and leaves no table.
    if EVENT_TABLE in connection.introspection.table_names():
        keep_partitions()
