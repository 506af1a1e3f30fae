"""An index for each order and filter of the list; none for columns that are nearly always null or never queried.

All are built concurrently, so alerts can be written. An interrupted run leaves an invalid index: drop it by hand.
"""

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

KEYS = (
    ("alerts_alert_assignee_id_4dc80ef5", "assignee_id"),
    ("alerts_alert_previous_id_2d77cde2", "previous_id"),
    ("alerts_alert_sensor_id_6482e7e1", "sensor_id"),
    ("alerts_alert_suppressed_by_id_1b874a23", "suppressed_by_id"),
)
"""The indexes that Django created for foreign keys, with their columns."""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("alerts", "0008_rule_hits"),
        ("fleet", "0003_staged_rollouts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(fields=["namespace", "-first_seen", "-id"], name="alerts_of_namespace"),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("status__in", ["active", "in_progress"])),
                fields=["namespace", "-first_seen", "-id"],
                name="open_alerts_of_namespace",
            ),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(fields=["outcome", "-first_seen", "-id"], name="alerts_of_outcome"),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("status__in", ["active", "in_progress"])),
                fields=["outcome", "-first_seen", "-id"],
                name="open_alerts_of_outcome",
            ),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(fields=["status", "-first_seen", "-id"], name="alerts_of_status"),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(fields=["rule_id", "-first_seen", "-id"], name="alerts_of_rule"),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                django.db.models.functions.text.Left(models.F("image_name"), 512),
                models.OrderBy(models.F("first_seen"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                name="alerts_of_image",
            ),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("assignee__isnull", False)),
                fields=["assignee", "-first_seen", "-id"],
                name="alerts_of_assignee",
            ),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("status__in", ["active", "in_progress"])),
                fields=["-incident", "-first_seen", "-id"],
                name="open_alerts_of_incident",
            ),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", False)), fields=["closed_at"], name="alerts_by_closing"
            ),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("until_spread", True)), fields=["fingerprint"], name="alerts_until_spread"
            ),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("previous__isnull", False)), fields=["previous"], name="alerts_that_follow"
            ),
        ),
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("suppressed_by__isnull", False)), fields=["suppressed_by"], name="alerts_suppressed"
            ),
        ),
        RemoveIndexConcurrently(
            model_name="alert",
            name="alerts_by_status",
        ),
        RemoveIndexConcurrently(
            model_name="alert",
            name="alerts_of_fingerprint",
        ),
        RemoveIndexConcurrently(
            model_name="alert",
            name="open_alerts_by_namespace",
        ),
        RemoveIndexConcurrently(
            model_name="alert",
            name="open_alerts_by_outcome",
        ),
        # An AlterField of a foreign key would drop the key and check every row anew, under a lock.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
                    f"CREATE INDEX CONCURRENTLY {name} ON alerts_alert ({column})",
                )
                for name, column in KEYS
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="alert",
                    name="assignee",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    model_name="alert",
                    name="previous",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="alerts.alert",
                    ),
                ),
                migrations.AlterField(
                    model_name="alert",
                    name="sensor",
                    field=models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="fleet.sensor"
                    ),
                ),
                migrations.AlterField(
                    model_name="alert",
                    name="suppressed_by",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="alerts",
                        to="alerts.suppressionrule",
                    ),
                ),
            ],
        ),
    ]
