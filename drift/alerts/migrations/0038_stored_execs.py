"""What containers executed around their drift, and how much of that each sensor may store: two new tables."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0037_rescore_by_habits"),
        ("fleet", "0018_exec_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="ExecBudget",
            fields=[
                (
                    "sensor",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="fleet.sensor",
                    ),
                ),
                ("stored", models.PositiveIntegerField(default=0)),
                ("window_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("dropped_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="StoredExec",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sensor_id", "exec_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("exec_id", models.UUIDField()),
                ("namespace", models.CharField(blank=True, max_length=256)),
                ("container_id", models.CharField(max_length=64)),
                ("observed_at", models.DateTimeField()),
                ("detail", models.JSONField()),
                ("missed", models.BigIntegerField(default=0)),
                (
                    "cluster",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="fleet.cluster",
                    ),
                ),
                (
                    "sensor",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="fleet.sensor"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["sensor", "container_id", "observed_at"], name="execs_of_container"),
                    models.Index(fields=["observed_at"], name="execs_by_time"),
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("missed__gte", 0)), name="missed_execs_are_counted")
                ],
            },
        ),
    ]
