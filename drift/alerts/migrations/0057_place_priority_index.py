"""The index of the alerts of a namespace by their priority for users with a scope. The migration can be repeated.

An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` calls invalid before the next attempt.
"""

from django.db import migrations, models

NAME = "alerts_of_place_by_priority"
FIELDS = ["cluster", "namespace", "-scoped_priority", "-first_seen", "-id"]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0056_rescore_by_traits")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [
                migrations.RunSQL(
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON alerts_alert"
                    " (cluster_id, namespace, scoped_priority DESC, first_seen DESC, id DESC)",
                    f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
                )
            ],
            [migrations.AddIndex("alert", models.Index(fields=FIELDS, name=NAME))],
        )
    ]
