"""The alerts of which notification routes were notified (docs/notifications.md#routes)."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0043_writer_sessions"), ("notify", "0009_alert_routes")]

    operations = [
        migrations.CreateModel(
            name="RoutedAlert",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "route_id", "alert_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "alert",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="alerts.alert",
                    ),
                ),
                (
                    "route",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="notify.alertroute",
                    ),
                ),
            ],
        ),
    ]
