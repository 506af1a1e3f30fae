"""Check the outcomes of all alerts and events, without a lock that writers wait for."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("alerts", "0040_would_block")]

    operations = [
        ValidateConstraint(model_name="alert", name="outcome_is_known"),
        migrations.RunSQL(
            "ALTER TABLE alerts_driftevent VALIDATE CONSTRAINT alerts_driftevent_outcome_check",
            migrations.RunSQL.noop,
        ),
    ]
