"""Who asked the Kubernetes API to run something in a pod: a new table."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0041_would_block_valid"),
        ("fleet", "0019_clock_offset"),
    ]

    operations = [
        migrations.CreateModel(
            name="PodEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audit_id", models.CharField(max_length=64)),
                ("digest", models.BinaryField(max_length=32)),
                ("kind", models.CharField(max_length=32)),
                ("namespace", models.CharField(max_length=253)),
                ("pod", models.CharField(max_length=253)),
                ("container", models.CharField(blank=True, max_length=253)),
                ("command", models.JSONField(default=list)),
                ("is_command_cut", models.BooleanField(default=False)),
                ("username", models.CharField(blank=True, max_length=1024)),
                ("groups", models.JSONField(default=list)),
                ("acting_as", models.CharField(blank=True, max_length=1024)),
                ("address", models.CharField(blank=True, max_length=45)),
                ("claimed_addresses", models.JSONField(default=list)),
                ("agent", models.CharField(blank=True, max_length=256)),
                ("requested_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("stage", models.CharField(max_length=24)),
                ("code", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("source", models.CharField(max_length=64)),
                ("received_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("erased_at", models.DateTimeField(blank=True, null=True)),
                (
                    "cluster",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="fleet.cluster"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "pod entries",
                "indexes": [
                    models.Index(fields=["cluster", "pod", "requested_at"], name="pod_entries_by_pod"),
                    models.Index(fields=["requested_at"], name="pod_entries_by_time"),
                    models.Index(fields=["cluster", "received_at"], name="pod_entries_by_receipt"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("cluster", "audit_id"), name="one_pod_entry_per_audit_id"),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ("exec", "attach", "ephemeralcontainers"))),
                        name="pod_entry_kind_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("stage__in", ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"))
                        ),
                        name="pod_entry_stage_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("erased_at", None),
                            models.Q(
                                ("acting_as", ""), ("address", ""), ("agent", ""), ("digest", b""), ("username", "")
                            ),
                            _connector="OR",
                        ),
                        name="erased_pod_entry_names_nobody",
                    ),
                ],
            },
        ),
    ]
