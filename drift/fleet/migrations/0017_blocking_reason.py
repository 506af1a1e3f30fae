"""Why all blocking was stopped: a column with a constant default on a table of one row."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0016_paused_rules"),
    ]

    operations = [
        migrations.AddField(
            model_name="fleetstate",
            name="blocking_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=1000),
        ),
    ]
