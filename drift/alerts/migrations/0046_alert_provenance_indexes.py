"""Indexes for the filters by session and writer: of what is rare, for the rest is found soon without one.

The migration can be repeated. An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` calls
invalid before the next attempt.
"""

from django.db import migrations, models
from django.db.models import Q

INDEXES = {
    "session": (Q(session__gt="", session__lt="workload"), "session > '' AND session < 'workload'"),
    "writer_session": (
        Q(writer_session__gt="", writer_session__lt="workload"),
        "writer_session > '' AND writer_session < 'workload'",
    ),
    "writer_origin": (Q(writer_origin__in=["drift", "runtime"]), "writer_origin IN ('drift', 'runtime')"),
}


def index(column, condition, where):
    name = f"alerts_of_{column}"
    return migrations.SeparateDatabaseAndState(
        [
            migrations.RunSQL(
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON alerts_alert ({column}, first_seen DESC, id DESC)"
                f" WHERE {where}",
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            )
        ],
        [
            migrations.AddIndex(
                "alert", models.Index(fields=[column, "-first_seen", "-id"], condition=condition, name=name)
            )
        ],
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0045_alert_provenance")]

    operations = [index(column, *each) for column, each in INDEXES.items()]
