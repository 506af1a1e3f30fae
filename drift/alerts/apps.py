"""The alerts app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate


class AlertsConfig(AppConfig):
    name = "drift.alerts"
    label = "alerts"

    def ready(self) -> None:
        post_migrate.connect(_make_partitions, sender=self)


def _make_partitions(**_: Any) -> None:
    """Every `migrate` leaves the event table ready to take events; going back to zero leaves no table."""
    from drift.alerts.actions import partitions

    if partitions.PARENT in connection.introspection.table_names():
        partitions.keep_partitions()
