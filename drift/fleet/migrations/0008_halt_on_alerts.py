"""A rollout in waves also halts when alerts rise too far."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0007_processes_heard"),
    ]

    operations = [
        migrations.AddField(
            model_name="rollout",
            name="max_alerts",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="rolloutplan",
            name="max_alerts",
            field=models.PositiveSmallIntegerField(blank=True, db_default=3, default=3, null=True),
        ),
    ]
