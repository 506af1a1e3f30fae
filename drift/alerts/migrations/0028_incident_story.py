"""Workload and story of an incident. Incidents of portals from before have neither, and end within ten minutes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0027_suppressed_contents")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField("incident", "scope", models.UUIDField(null=True)),
        migrations.AddField(
            "incident", "story", models.CharField(blank=True, db_default="", default="", max_length=32)
        ),
    ]
