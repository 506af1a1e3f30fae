"""Validate the constraints of 0030, without keeping anybody from writing."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("alerts", "0031_priority_indexes")]

    operations = [
        ValidateConstraint("alert", "severity_is_known"),
        ValidateConstraint("alert", "priority_is_percentage"),
    ]
