"""Sensors prove that they detect: switched on by environment, and the last proof of each."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0008_halt_on_alerts"),
    ]

    operations = [
        migrations.AddField(
            model_name="environment",
            name="proved_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="Proof",
            fields=[
                (
                    "sensor",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="proof",
                        serialize=False,
                        to="fleet.sensor",
                    ),
                ),
                ("seen_at", models.DateTimeField()),
                ("seconds", models.FloatField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("seconds__gte", 0)), name="proof_takes_time")
                ],
            },
        ),
    ]
