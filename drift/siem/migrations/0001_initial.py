"""Destinations of alerts."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0010_sealing_guards"),
    ]

    operations = [
        # For the foreign key, which waits for whoever changes a scope.
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.CreateModel(
            name="SiemDestination",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128, unique=True)),
                (
                    "transport",
                    models.CharField(
                        choices=[("tls", "Syslog over TLS"), ("tcp", "Syslog over TCP, unencrypted"), ("file", "File")],
                        max_length=8,
                    ),
                ),
                (
                    "record_format",
                    models.CharField(choices=[("json", "JSON"), ("ocsf", "OCSF Detection Finding")], max_length=8),
                ),
                ("host", models.CharField(blank=True, max_length=255)),
                ("port", models.PositiveIntegerField(null=True)),
                ("ca", models.TextField(blank=True)),
                ("file_name", models.CharField(blank=True, max_length=128)),
                ("is_scoped", models.BooleanField(default=False)),
                ("enabled", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("cursor", models.BigIntegerField(default=0)),
                ("claim", models.UUIDField(null=True)),
                ("claimed_until", models.DateTimeField(null=True)),
                ("next_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("error", models.CharField(blank=True, max_length=256)),
                ("sent", models.BigIntegerField(default=0)),
                ("sent_at", models.DateTimeField(null=True)),
                ("test_requested_at", models.DateTimeField(null=True)),
                (
                    "scope_group",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accounts.scopegroup",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("ca", ""),
                                ("host", ""),
                                ("port", None),
                                ("transport", "file"),
                                models.Q(("file_name", ""), _negated=True),
                            ),
                            models.Q(
                                ("file_name", ""),
                                ("port__range", (1, 65535)),
                                ("transport__in", ["tls", "tcp"]),
                                models.Q(("host", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="siem_destination_is_one_place",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("record_format__in", ["json", "ocsf"])), name="siem_record_format_is_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("is_scoped", True), ("scope_group", None), _connector="OR"),
                        name="siem_scope_group_limits",
                    ),
                    models.CheckConstraint(condition=models.Q(("cursor__gte", 0)), name="siem_cursor_from_zero"),
                    models.UniqueConstraint(
                        condition=models.Q(("file_name", ""), _negated=True),
                        fields=("file_name",),
                        name="one_siem_destination_per_file",
                    ),
                ],
            },
        ),
    ]
