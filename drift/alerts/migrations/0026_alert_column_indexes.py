"""Indexes for the filters by node, pod, container, writer, parent, resolution, suppression rule and path.

The migration can be repeated. An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` or
`\\d alerts_binary` calls invalid before the next attempt.
"""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import migrations, models
from django.db.models import F, Q

ORDER = ("-first_seen", "-id")
COLUMNS = {
    "node": "alerts_of_node",
    "pod_name": "alerts_of_pod",
    "container_id": "alerts_of_container",
    "writer": "alerts_of_writer",
    "parent": "alerts_of_parent",
}


def concurrently(model, name, definition, state):
    return migrations.SeparateDatabaseAndState(
        [
            migrations.RunSQL(
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON alerts_{model} {definition}",
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            )
        ],
        [state],
    )


def of_alert(column, field, name, condition=None, where=""):
    return concurrently(
        "alert",
        name,
        f"({column}, first_seen DESC, id DESC){where}",
        migrations.AddIndex("alert", models.Index(fields=[field, *ORDER], condition=condition, name=name)),
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0025_alert_columns_backfill")]

    operations = [
        *(of_alert(column, column, name) for column, name in COLUMNS.items()),
        of_alert("verdict", "verdict", "alerts_of_verdict", ~Q(verdict=""), " WHERE NOT verdict = ''"),
        of_alert(
            "suppressed_by_id",
            "suppressed_by",
            "alerts_suppressed_by",
            Q(suppressed_by__isnull=False),
            " WHERE suppressed_by_id IS NOT NULL",
        ),
        concurrently(
            "binary",
            "binaries_by_path",
            "USING gin (path gin_trgm_ops)",
            migrations.AddIndex("binary", GinIndex(OpClass(F("path"), name="gin_trgm_ops"), name="binaries_by_path")),
        ),
        migrations.SeparateDatabaseAndState(
            [
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS alerts_suppressed",
                    "CREATE INDEX CONCURRENTLY IF NOT EXISTS alerts_suppressed ON alerts_alert (suppressed_by_id)"
                    " WHERE suppressed_by_id IS NOT NULL",
                )
            ],
            [migrations.RemoveIndex("alert", "alerts_suppressed")],
        ),
    ]
