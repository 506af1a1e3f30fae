"""The indexes of the ways in which alerts came about. The migration can be repeated.

An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` calls invalid before the next attempt.
"""

from django.db import migrations, models
from django.db.models import Q

IS_OPEN = Q(status__in=["active", "in_progress"])
FIELDS = ["habit", "-id"]


def built(name, where, condition):
    return migrations.SeparateDatabaseAndState(
        [
            migrations.RunSQL(
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON alerts_alert (habit, id DESC) WHERE {where}",
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            )
        ],
        [migrations.AddIndex("alert", models.Index(fields=FIELDS, condition=condition, name=name))],
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0035_habits")]

    operations = [
        built("open_alerts_of_habit", "status IN ('active', 'in_progress')", IS_OPEN),
        built("attacks_of_habit", "verdict = 'true_positive'", Q(verdict="true_positive")),
    ]
