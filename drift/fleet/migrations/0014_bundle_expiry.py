"""Bundles are dated anew every day (docs/delivery.md#expiry)."""

import datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0013_quarantine"),
    ]

    operations = [
        migrations.AddField(
            model_name="fleetstate",
            name="refreshed_at",
            field=models.DateTimeField(
                db_default=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.UTC),
                default=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.UTC),
            ),
        ),
    ]
