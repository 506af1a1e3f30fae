"""Alerts by the minute, for rollouts that halt on too many."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0011_mentions_until_now"),
        ("fleet", "0008_halt_on_alerts"),
    ]

    operations = [
        migrations.CreateModel(
            name="RateWatch",
            fields=[
                (
                    "rollout",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="fleet.rollout",
                    ),
                ),
                ("counted_to", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="AlertMinute",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "rollout_id",
                        "minute",
                        "sensor_id",
                        "is_after",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "rollout",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="fleet.rollout",
                    ),
                ),
                ("minute", models.DateTimeField()),
                ("sensor_id", models.UUIDField()),
                ("is_after", models.BooleanField()),
                ("alerts", models.PositiveIntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("alerts__gte", 1)), name="minute_has_alerts")
                ],
            },
        ),
    ]
