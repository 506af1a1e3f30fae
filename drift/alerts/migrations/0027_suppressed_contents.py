"""Suppression rules that dismiss only the content that their authors reviewed.

The default of the column is what rules meant until now, so rules that exist, and those that portals of the previous
version create meanwhile, go on dismissing what they dismissed. A constant default leaves the rows alone.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0026_alert_column_indexes")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="suppressionrule",
            name="covers_new_content",
            field=models.BooleanField(db_default=True, default=False),
        ),
        migrations.CreateModel(
            name="SuppressedContent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "rule_id", "sha256", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sha256", models.CharField(max_length=64)),
                (
                    "rule",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="contents",
                        to="alerts.suppressionrule",
                    ),
                ),
            ],
        ),
    ]
