"""The indexes of open alerts by their traits. The migration can be repeated.

An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` calls invalid before the next attempt.
"""

from django.db import migrations, models
from django.db.models import Q

IS_OPEN = Q(status__in=["active", "in_progress"])


def built(trait):
    name, column = f"open_of_{trait}", f"{trait}_trait"
    return migrations.SeparateDatabaseAndState(
        [
            migrations.RunSQL(
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON alerts_alert ({column}, id DESC)"
                " WHERE status IN ('active', 'in_progress')",
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            )
        ],
        [migrations.AddIndex("alert", models.Index(fields=[column, "-id"], condition=IS_OPEN, name=name))],
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0054_traits")]

    operations = [built("name"), built("command"), built("place")]
