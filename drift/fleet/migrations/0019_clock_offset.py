"""The clock of each node: a nullable column, so the table is not rewritten."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0018_exec_history"),
    ]

    operations = [
        migrations.AddField(
            model_name="sensorstatus",
            name="clock_offset",
            field=models.FloatField(blank=True, null=True),
        ),
    ]
