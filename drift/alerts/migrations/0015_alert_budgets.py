"""How many alerts sensors and their containers opened lately (docs/alerts.md#floods)."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0014_resolution_labels"),
        ("fleet", "0010_earlier_processes"),
    ]

    operations = [
        migrations.CreateModel(
            name="AlertBudget",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sensor_id", "container_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("container_id", models.CharField(max_length=64)),
                ("opened", models.PositiveIntegerField()),
                ("window_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("flooding_since", models.DateTimeField(null=True)),
                ("excess_at", models.DateTimeField(null=True)),
                (
                    "sensor",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="fleet.sensor"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("excess_at", None), ("flooding_since", None)),
                            models.Q(("excess_at__isnull", False), ("flooding_since__isnull", False)),
                            _connector="OR",
                        ),
                        name="flood_has_excess",
                    )
                ],
            },
        ),
    ]
