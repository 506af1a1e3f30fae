"""An index on incidents by workload. The migration can be repeated.

An interrupted build leaves an invalid index: drop `incidents_of_workload` before the next attempt.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0028_incident_story")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [
                migrations.RunSQL(
                    "CREATE INDEX CONCURRENTLY IF NOT EXISTS incidents_of_workload"
                    " ON alerts_incident (scope, last_seen DESC)",
                    "DROP INDEX CONCURRENTLY IF EXISTS incidents_of_workload",
                )
            ],
            [
                migrations.AddIndex(
                    "incident", models.Index(fields=["scope", "-last_seen"], name="incidents_of_workload")
                )
            ],
        )
    ]
