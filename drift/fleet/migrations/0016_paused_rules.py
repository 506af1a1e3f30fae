"""Rules whose blocking a sensor has paused: a column with a constant default, so the table is not rewritten."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0015_recreated_nodes"),
    ]

    operations = [
        migrations.AddField(
            model_name="sensorstatus",
            name="paused_rules",
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
        ),
    ]
