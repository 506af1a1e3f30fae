"""The index of open alerts by lineage. The migration can be repeated.

An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` calls invalid before the next attempt.
"""

from django.db import migrations, models
from django.db.models import Q

NAME = "open_alerts_of_lineage"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0051_lineages")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [
                migrations.RunSQL(
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON alerts_alert (lineage, id DESC)"
                    " WHERE status IN ('active', 'in_progress')",
                    f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
                )
            ],
            [
                migrations.AddIndex(
                    "alert",
                    models.Index(
                        fields=["lineage", "-id"], condition=Q(status__in=["active", "in_progress"]), name=NAME
                    ),
                )
            ],
        )
    ]
