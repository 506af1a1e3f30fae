"""An index of alerts by cluster and namespace, for users with a scope. The migration can be repeated.

An interrupted build leaves an invalid index: drop `alerts_of_place` before the next attempt.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0021_event_command_lines")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [
                migrations.RunSQL(
                    "CREATE INDEX CONCURRENTLY IF NOT EXISTS alerts_of_place"
                    " ON alerts_alert (cluster_id, namespace, first_seen DESC, id DESC)",
                    "DROP INDEX CONCURRENTLY IF EXISTS alerts_of_place",
                )
            ],
            [
                migrations.AddIndex(
                    "alert",
                    models.Index(fields=["cluster", "namespace", "-first_seen", "-id"], name="alerts_of_place"),
                )
            ],
        )
    ]
