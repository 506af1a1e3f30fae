"""When sensors lost executions or events, by hour; of before only each sensor's last loss is known."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "0019_clock_offset")]

    operations = [
        migrations.CreateModel(
            name="SensorLoss",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sensor_id", "hour", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("lost", models.BigIntegerField()),
                (
                    "sensor",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="losses",
                        to="fleet.sensor",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["until"], name="losses_by_end")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("since__lte", models.F("until"))), name="loss_has_a_period"
                    ),
                    models.CheckConstraint(condition=models.Q(("lost__gte", 1)), name="loss_is_counted"),
                ],
            },
        ),
        migrations.RunSQL(
            "INSERT INTO fleet_sensorloss (sensor_id, hour, since, until, lost) "
            "SELECT sensor_id, date_trunc('hour', lost_at, 'UTC'), date_trunc('hour', lost_at, 'UTC'), lost_at, "
            "greatest(lost_total, 1) FROM fleet_sensorstatus WHERE lost_at IS NOT NULL",
            migrations.RunSQL.noop,
        ),
    ]
