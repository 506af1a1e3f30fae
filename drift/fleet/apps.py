"""The fleet app."""

from __future__ import annotations

from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "drift.fleet"
    label = "fleet"

    def ready(self) -> None:
        from drift.fleet.actions import on_version_saved as receivers  # noqa: F401 - models are loaded only now
