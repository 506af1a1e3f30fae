"""Of which alerts a route was notified."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from accounts.models import WholeEstateOnly
from drift.alerts.models.alerts import Alert
from drift.notify.models import AlertRoute


class RoutedAlert(models.Model):
    """An alert of which a route was notified, so that it is not notified again when the alert gets a new priority.

    Without a constraint on the alert, which portals of the version before delete without knowing of these rows.
    """

    pk = models.CompositePrimaryKey("route_id", "alert_id")
    route = models.ForeignKey(AlertRoute, on_delete=models.CASCADE, related_name="+", db_index=False)
    alert = models.ForeignKey(Alert, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")

    visibility: ClassVar = WholeEstateOnly("who is notified of what is for Admins")

    def __str__(self) -> str:
        return f"alert {self.alert_id} to route {self.route_id}"
