"""Quarantine of sensors (docs/alerts.md#quarantine)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0012_monitoring_gaps"),
        ("policy", "0006_proposals_never_change"),
    ]

    operations = [
        migrations.AddField(
            model_name="sensor",
            name="quarantined_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="sensor",
            name="set_aside_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name="sensor",
            index=models.Index(
                condition=models.Q(("quarantined_at__isnull", False)),
                fields=["quarantined_at"],
                name="sensors_in_quarantine",
            ),
        ),
        migrations.AddConstraint(
            model_name="sensor",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("quarantined_at", None), ("set_aside_since", None)),
                    models.Q(("quarantined_at__isnull", False), ("set_aside_since__lte", models.F("quarantined_at"))),
                    _connector="OR",
                ),
                name="quarantine_has_a_start",
            ),
        ),
    ]
