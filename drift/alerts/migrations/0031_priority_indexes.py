"""Indexes of alerts by priority and by severity. The migration can be repeated.

An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` calls invalid before the next attempt.
"""

from django.db import migrations, models
from django.db.models import Q

IS_OPEN = Q(status__in=["active", "in_progress"])


def concurrently(name, definition, state):
    return migrations.SeparateDatabaseAndState(
        [
            migrations.RunSQL(
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON alerts_alert {definition}",
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            )
        ],
        [migrations.AddIndex("alert", state)],
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0030_priorities")]

    operations = [
        concurrently(
            "alerts_of_severity",
            "(severity, first_seen DESC, id DESC)",
            models.Index(fields=["severity", "-first_seen", "-id"], name="alerts_of_severity"),
        ),
        concurrently(
            "open_alerts_of_severity",
            "(severity, first_seen DESC, id DESC) WHERE status IN ('active', 'in_progress')",
            models.Index(condition=IS_OPEN, fields=["severity", "-first_seen", "-id"], name="open_alerts_of_severity"),
        ),
        concurrently(
            "alerts_by_priority",
            "(priority DESC, first_seen DESC, id DESC)",
            models.Index(fields=["-priority", "-first_seen", "-id"], name="alerts_by_priority"),
        ),
        concurrently(
            "open_alerts_by_priority",
            "(priority DESC, first_seen DESC, id DESC) WHERE status IN ('active', 'in_progress')",
            models.Index(condition=IS_OPEN, fields=["-priority", "-first_seen", "-id"], name="open_alerts_by_priority"),
        ),
        concurrently(
            "open_by_priority_of_cluster",
            "(cluster_id, priority DESC, first_seen DESC, id DESC) WHERE status IN ('active', 'in_progress')",
            models.Index(
                condition=IS_OPEN,
                fields=["cluster", "-priority", "-first_seen", "-id"],
                name="open_by_priority_of_cluster",
            ),
        ),
        concurrently(
            "open_by_priority_of_namespace",
            "(namespace, priority DESC, first_seen DESC, id DESC) WHERE status IN ('active', 'in_progress')",
            models.Index(
                condition=IS_OPEN,
                fields=["namespace", "-priority", "-first_seen", "-id"],
                name="open_by_priority_of_namespace",
            ),
        ),
        concurrently(
            "alerts_by_scoped_priority",
            "(scoped_priority DESC, first_seen DESC, id DESC)",
            models.Index(fields=["-scoped_priority", "-first_seen", "-id"], name="alerts_by_scoped_priority"),
        ),
        concurrently(
            "open_by_scoped_priority",
            "(scoped_priority DESC, first_seen DESC, id DESC) WHERE status IN ('active', 'in_progress')",
            models.Index(
                condition=IS_OPEN, fields=["-scoped_priority", "-first_seen", "-id"], name="open_by_scoped_priority"
            ),
        ),
        concurrently(
            "alerts_without_priority",
            "(id DESC) WHERE signals IS NULL",
            models.Index(condition=Q(signals__isnull=True), fields=["-id"], name="alerts_without_priority"),
        ),
    ]
