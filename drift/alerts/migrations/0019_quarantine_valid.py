"""Validate the constraints of 0017, without keeping anybody from writing."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("alerts", "0018_quarantine_indexes")]

    operations = [
        ValidateConstraint("alert", "open_alert_is_current"),
        ValidateConstraint("alert", "set_aside_is_not_current"),
        ValidateConstraint("alertactivity", "activity_kind_is_known"),
    ]
