"""Indexes of alerts by sensor, and of those that are set aside. The migration can be repeated.

An interrupted build leaves an invalid index: drop `alerts_of_sensor`, `alerts_set_aside` or `one_set_aside_alert`
before the next attempt, whichever `\\d alerts_alert` calls invalid.
"""

from django.db import migrations, models


def concurrently(name, definition, state, *, unique=""):
    return migrations.SeparateDatabaseAndState(
        [
            migrations.RunSQL(
                f"CREATE {unique} INDEX CONCURRENTLY IF NOT EXISTS {name} ON alerts_alert {definition}",
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            )
        ],
        [state],
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0017_quarantine")]

    operations = [
        concurrently(
            "alerts_of_sensor",
            "(sensor_id, first_seen DESC, id DESC)",
            migrations.AddIndex(
                "alert", models.Index(fields=["sensor", "-first_seen", "-id"], name="alerts_of_sensor")
            ),
        ),
        concurrently(
            "alerts_set_aside",
            "(sensor_id, fingerprint) WHERE set_aside_at IS NOT NULL",
            migrations.AddIndex(
                "alert",
                models.Index(
                    condition=models.Q(("set_aside_at__isnull", False)),
                    fields=["sensor", "fingerprint"],
                    name="alerts_set_aside",
                ),
            ),
        ),
        concurrently(
            "one_set_aside_alert",
            "(sensor_id, fingerprint) WHERE status IN ('active', 'in_progress') AND set_aside_at IS NOT NULL",
            migrations.AddConstraint(
                "alert",
                models.UniqueConstraint(
                    condition=models.Q(
                        models.Q(("status__in", ["active", "in_progress"])), ("set_aside_at__isnull", False)
                    ),
                    fields=("sensor", "fingerprint"),
                    name="one_set_aside_alert",
                ),
            ),
            unique="UNIQUE",
        ),
    ]
