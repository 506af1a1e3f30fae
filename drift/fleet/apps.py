"""The fleet app."""

from __future__ import annotations

from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "drift.fleet"
    label = "fleet"

    def ready(self) -> None:
        # Models may be imported only now.
        from drift.fleet.actions.on_version_saved import open_rollout_on_save
        from drift.fleet.queries.lacking_sensors import names_of_lacking_sensors
        from drift.policy.signals import sensors_lacking, version_saved

        version_saved.connect(open_rollout_on_save, dispatch_uid="fleet.open_rollout_on_save")
        sensors_lacking.connect(names_of_lacking_sensors, dispatch_uid="fleet.names_of_lacking_sensors")
