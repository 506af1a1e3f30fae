"""The indexes of the list of incidents, in place of those by incident alone. The migration can be repeated.

An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` calls invalid before the next attempt.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

IS_OPEN = Q(status__in=["active", "in_progress"])
ORDER = "(incident_id, priority DESC, first_seen DESC, id DESC)"
FIELDS = ["incident", "-priority", "-first_seen", "-id"]


def statement(forwards, backwards, state):
    return migrations.SeparateDatabaseAndState([migrations.RunSQL(forwards, backwards)], [state])


def built(name, where, state):
    return statement(
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON alerts_alert {ORDER}{where}",
        f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
        migrations.AddIndex("alert", state),
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0032_priorities_valid")]

    operations = [
        built("alerts_of_incident", "", models.Index(fields=FIELDS, name="alerts_of_incident")),
        built(
            "open_incidents_by_priority",
            " WHERE status IN ('active', 'in_progress')",
            models.Index(fields=FIELDS, condition=IS_OPEN, name="open_incidents_by_priority"),
        ),
        statement(
            "DROP INDEX CONCURRENTLY IF EXISTS open_alerts_of_incident",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS open_alerts_of_incident ON alerts_alert"
            " (incident_id DESC, first_seen DESC, id DESC) WHERE status IN ('active', 'in_progress')",
            migrations.RemoveIndex("alert", "open_alerts_of_incident"),
        ),
        statement(
            "DROP INDEX CONCURRENTLY IF EXISTS alerts_alert_incident_id_e73ba9b2",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS alerts_alert_incident_id_e73ba9b2 ON alerts_alert (incident_id)",
            migrations.AlterField(
                "alert",
                "incident",
                models.ForeignKey(
                    db_index=False,
                    null=True,
                    on_delete=django.db.models.deletion.SET_NULL,
                    related_name="alerts",
                    to="alerts.incident",
                ),
            ),
        ),
        migrations.AddField(
            "listpreference", "view", models.CharField(blank=True, db_default="", default="", max_length=16)
        ),
    ]
