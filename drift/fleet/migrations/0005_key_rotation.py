"""Keys that wait, sign, are accepted, are retired; which of them each sensor knows."""

import datetime as dt

import django.contrib.postgres.fields
from django.db import migrations, models

LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0004_spread_questions"),
    ]

    operations = [
        migrations.AddField(
            model_name="fleetstate",
            name="keys_changed_at",
            field=models.DateTimeField(db_default=LONG_AGO, default=LONG_AGO),
        ),
        migrations.AddField(
            model_name="sensorstatus",
            name="key_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=64), blank=True, null=True, size=None
            ),
        ),
        migrations.AddField(
            model_name="signingkey",
            name="promoted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        # Until now the newest key signed.
        migrations.RunSQL(
            "UPDATE fleet_signingkey SET promoted_at = created_at WHERE promoted_at IS NULL", migrations.RunSQL.noop
        ),
    ]
