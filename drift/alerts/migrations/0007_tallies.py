"""Counts of alerts, kept by triggers. tallies.sql has what Django has no operation for."""

from pathlib import Path

from django.db import migrations, models

DROP = """
DROP TRIGGER opened_is_counted ON alerts_alert;
DROP TRIGGER deleted_is_counted ON alerts_alert;
DROP TRIGGER change_is_counted ON alerts_alert;
DROP FUNCTION alerts_count_rows();
DROP FUNCTION alerts_count_change();
DROP VIEW alerts_openedbyhour;
DROP VIEW alerts_openedbyperiod;
DROP VIEW alerts_alerttotal;
DROP VIEW alerts_alertgroup;
DROP FUNCTION alerts_dimensions(text, text, text, bigint);
DROP FUNCTION alerts_periods(timestamptz);
DROP TABLE alerts_alertdelta;
DROP TABLE alerts_hourtally;
DROP TABLE alerts_periodtally;
DROP TABLE alerts_totaltally;
DROP TABLE alerts_grouptally;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0006_comments"),
    ]

    operations = [
        migrations.RunSQL(Path(__file__).with_name("tallies.sql").read_text(), DROP),
        migrations.CreateModel(
            name="AlertGroup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "dimension",
                        "key",
                        "cluster_id",
                        "status",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "dimension",
                    models.CharField(
                        choices=[
                            ("rule", "Rule"),
                            ("image", "Image"),
                            ("namespace", "Namespace"),
                            ("binary", "Binary"),
                        ],
                        max_length=16,
                    ),
                ),
                ("key", models.CharField(max_length=512)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("in_progress", "In progress"),
                            ("resolved", "Resolved"),
                            ("dismissed", "Dismissed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("count", models.BigIntegerField()),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
            ],
            options={
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="AlertTotal",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "dimension", "key", "status", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "dimension",
                    models.CharField(
                        choices=[
                            ("rule", "Rule"),
                            ("image", "Image"),
                            ("namespace", "Namespace"),
                            ("binary", "Binary"),
                        ],
                        max_length=16,
                    ),
                ),
                ("key", models.CharField(max_length=512)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("in_progress", "In progress"),
                            ("resolved", "Resolved"),
                            ("dismissed", "Dismissed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("count", models.BigIntegerField()),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
            ],
            options={
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="OpenedByHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "hour", "provider", "status", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour", models.DateTimeField()),
                (
                    "provider",
                    models.CharField(choices=[("azure", "Azure"), ("aws", "AWS"), ("gcp", "GCP")], max_length=16),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("in_progress", "In progress"),
                            ("resolved", "Resolved"),
                            ("dismissed", "Dismissed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("count", models.BigIntegerField()),
                ("acknowledged", models.BigIntegerField()),
                ("acknowledged_seconds", models.FloatField()),
                ("closed", models.BigIntegerField()),
                ("closed_seconds", models.FloatField()),
            ],
            options={
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="OpenedByPeriod",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "dimension",
                        "period",
                        "start",
                        "key",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "dimension",
                    models.CharField(
                        choices=[
                            ("rule", "Rule"),
                            ("image", "Image"),
                            ("namespace", "Namespace"),
                            ("binary", "Binary"),
                        ],
                        max_length=16,
                    ),
                ),
                ("period", models.CharField(choices=[("day", "Day"), ("week", "Week")], max_length=8)),
                ("start", models.DateField()),
                ("key", models.CharField(max_length=512)),
                ("count", models.BigIntegerField()),
            ],
            options={
                "managed": False,
            },
        ),
    ]
