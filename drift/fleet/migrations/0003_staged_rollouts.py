"""Rollouts in waves; when losses last grew; the rollout plan's one row."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0002_fleet_state"),
    ]

    operations = [
        migrations.AddField(
            model_name="rollout",
            name="max_rejected",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="rollout",
            name="pause_minutes",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="rollout",
            name="pause_reason",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name="rollout",
            name="paused_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="rollout",
            name="waiting_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="rollout",
            name="waves",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="rollout",
            name="waves_left",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="sensorstatus",
            name="lost_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="sensorstatus",
            name="lost_total",
            field=models.BigIntegerField(default=0),
        ),
        migrations.CreateModel(
            name="RolloutPlan",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("waves", models.JSONField(default=list)),
                ("pause_minutes", models.PositiveIntegerField(default=30)),
                ("max_rejected", models.PositiveSmallIntegerField(default=5)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_rollout_plan")],
            },
        ),
        migrations.RunSQL(
            "INSERT INTO fleet_rolloutplan (id, waves, pause_minutes, max_rejected) VALUES (1, '[]', 30, 5)",
            migrations.RunSQL.noop,
        ),
    ]
