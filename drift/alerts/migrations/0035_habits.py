"""In which way alerts came about: a nullable column, added without a rewrite, and a new table."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0034_rescore_open_alerts"), ("fleet", "0016_paused_rules")]

    operations = [
        migrations.AddField("alert", "habit", models.UUIDField(null=True)),
        migrations.CreateModel(
            name="HabitDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "habit", "scope", "day", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("habit", models.UUIDField()),
                ("scope", models.UUIDField()),
                ("day", models.DateField()),
                ("namespace", models.CharField(blank=True, max_length=256)),
                (
                    "cluster",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="fleet.cluster",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["day"], name="habits_by_day")]},
        ),
    ]
