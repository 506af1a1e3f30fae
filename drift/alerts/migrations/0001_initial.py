"""Events, interned workloads and binaries, alerts. events.sql has what Django has no operation for."""

from pathlib import Path

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations, models

DROP = """
DROP TRIGGER timeline_is_append_only ON alerts_alertactivity;
DROP FUNCTION alerts_refuse_activity_change();
DROP TABLE alerts_driftevent;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("fleet", "0002_fleet_state"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # The search box looks through text by its trigrams.
        TrigramExtension(),
        migrations.CreateModel(
            name="DriftEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "observed_on",
                        "sensor_id",
                        "event_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("observed_on", models.DateField()),
                ("sensor_id", models.UUIDField()),
                ("event_id", models.UUIDField()),
                ("mode", models.CharField(max_length=8)),
                ("count", models.BigIntegerField()),
                ("observed_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("received_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("fingerprint", models.UUIDField()),
                ("parent_name", models.CharField(max_length=256)),
                ("pod_name", models.CharField(max_length=256)),
                ("container_id", models.CharField(max_length=64)),
                ("action", models.CharField(max_length=8)),
                ("rule", models.CharField(max_length=256)),
                ("reason", models.CharField(max_length=32)),
                ("policy_number", models.PositiveIntegerField(null=True)),
                ("outcome", models.CharField(max_length=16)),
                ("outcome_reason", models.CharField(max_length=256)),
                ("detail", models.JSONField(null=True)),
            ],
            options={
                "db_table": "alerts_driftevent",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Binary",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.UUIDField(unique=True)),
                ("path", models.CharField(max_length=4096)),
                ("name", models.CharField(max_length=256)),
                ("sha256", models.CharField(blank=True, max_length=64)),
                ("kind", models.CharField(max_length=32)),
                ("first_seen_on", models.DateField()),
                ("last_seen_on", models.DateField()),
            ],
            options={
                "verbose_name_plural": "binaries",
                "indexes": [
                    models.Index(fields=["sha256"], name="binaries_by_content"),
                    models.Index(fields=["last_seen_on"], name="binaries_by_last_seen"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Incident",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("container_id", models.CharField(max_length=64)),
                ("ancestors", models.JSONField(default=list)),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["container_id", "-last_seen"], name="incidents_of_container")],
            },
        ),
        migrations.CreateModel(
            name="SuppressionRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("enabled", models.BooleanField(default=True)),
                ("conditions", models.JSONField()),
                ("reason", models.CharField(max_length=32)),
                ("comment", models.CharField(blank=True, max_length=1000)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("hits", models.PositiveBigIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("revision", models.PositiveIntegerField(default=1)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("environments", models.ManyToManyField(blank=True, related_name="+", to="fleet.environment")),
            ],
        ),
        migrations.CreateModel(
            name="Workload",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.UUIDField(unique=True)),
                ("scope", models.UUIDField()),
                ("namespace", models.CharField(blank=True, max_length=256)),
                ("owner_kind", models.CharField(blank=True, max_length=256)),
                ("owner_name", models.CharField(blank=True, max_length=256)),
                ("container_name", models.CharField(blank=True, max_length=256)),
                ("image_name", models.CharField(blank=True, max_length=1024)),
                ("image_digest", models.CharField(blank=True, max_length=200)),
                ("pod_labels", models.JSONField(default=dict)),
                ("first_seen_on", models.DateField()),
                ("last_seen_on", models.DateField()),
                (
                    "cluster",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="fleet.cluster"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Sighting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("first_seen_on", models.DateField()),
                ("last_seen_on", models.DateField()),
                (
                    "binary",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="sightings", to="alerts.binary"
                    ),
                ),
                (
                    "workload",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="alerts.workload"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.UUIDField()),
                ("current", models.BooleanField(default=True)),
                ("severity", models.CharField(choices=[("high", "High")], default="high", max_length=8)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("in_progress", "In progress"),
                            ("resolved", "Resolved"),
                            ("dismissed", "Dismissed"),
                        ],
                        default="active",
                        max_length=16,
                    ),
                ),
                (
                    "verdict",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("true_positive", "True positive"),
                            ("benign_true_positive", "Benign true positive"),
                            ("false_positive", "False positive"),
                            ("expected", "Expected"),
                            ("accepted_risk", "Accepted risk"),
                            ("duplicate", "Duplicate"),
                            ("suppressed", "Suppressed by a rule"),
                        ],
                        max_length=32,
                    ),
                ),
                ("first_seen", models.DateTimeField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("acknowledged_at", models.DateTimeField(null=True)),
                ("closed_at", models.DateTimeField(null=True)),
                ("quiet_until", models.DateTimeField(null=True)),
                ("until_spread", models.BooleanField(default=False)),
                ("revision", models.PositiveIntegerField(default=1)),
                ("sample", models.BooleanField(default=False)),
                ("namespace", models.CharField(blank=True, max_length=256)),
                ("image_name", models.CharField(blank=True, max_length=1024)),
                ("path", models.CharField(max_length=4096)),
                ("pod_name", models.CharField(blank=True, max_length=256)),
                ("container_id", models.CharField(blank=True, max_length=64)),
                ("action", models.CharField(max_length=8)),
                ("reason", models.CharField(max_length=32)),
                ("rule_id", models.CharField(blank=True, max_length=256)),
                ("rule_name", models.CharField(blank=True, max_length=128)),
                ("policy_number", models.PositiveIntegerField(null=True)),
                ("outcome", models.CharField(max_length=16)),
                (
                    "assignee",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "cluster",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="fleet.cluster"
                    ),
                ),
                (
                    "previous",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="alerts.alert"
                    ),
                ),
                (
                    "sensor",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="fleet.sensor"),
                ),
                (
                    "binary",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="alerts", to="alerts.binary"
                    ),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="alerts",
                        to="alerts.incident",
                    ),
                ),
                (
                    "suppressed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="alerts",
                        to="alerts.suppressionrule",
                    ),
                ),
                (
                    "workload",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="alerts.workload"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AlertDetail",
            fields=[
                (
                    "alert",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="detail",
                        serialize=False,
                        to="alerts.alert",
                    ),
                ),
                ("event", models.JSONField()),
                ("rule", models.JSONField(null=True)),
                ("trace", models.JSONField(default=list)),
                ("search", models.TextField()),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        django.contrib.postgres.indexes.OpClass(models.F("search"), name="gin_trgm_ops"),
                        name="alerts_by_text",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AlertPulse",
            fields=[
                (
                    "alert",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="pulse",
                        serialize=False,
                        to="alerts.alert",
                    ),
                ),
                ("count", models.BigIntegerField()),
                ("blocked", models.BigIntegerField(default=0)),
                ("last_seen", models.DateTimeField()),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "indexes": [models.Index(fields=["-updated_at", "-alert"], name="pulses_by_update")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("blocked__gte", 0), ("blocked__lte", models.F("count")), ("count__gte", 1)),
                        name="alert_counts",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AlertActivity",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("opened", "opened the alert"),
                            ("status", "changed the status"),
                            ("assigned", "assigned it"),
                            ("comment", "commented"),
                            ("spread", "ended the quiet period"),
                            ("suppressed", "dismissed it by a suppression rule"),
                        ],
                        max_length=16,
                    ),
                ),
                ("before", models.JSONField(null=True)),
                ("after", models.JSONField(null=True)),
                ("text", models.TextField(blank=True)),
                (
                    "actor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "alert",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="activities", to="alerts.alert"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["alert", "id"], name="activities_of_alert")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind__in", ["opened", "status", "assigned", "comment", "spread", "suppressed"])
                        ),
                        name="activity_kind_is_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AlertHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "alert_id", "hour", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("count", models.BigIntegerField()),
                (
                    "alert",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="hours",
                        to="alerts.alert",
                    ),
                ),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("count__gte", 1)), name="hour_has_execs")],
            },
        ),
        migrations.AddConstraint(
            model_name="suppressionrule",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"), name="one_suppression_rule_per_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="suppressionrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("revision__gte", 1)), name="suppression_revision_from_one"
            ),
        ),
        migrations.AddIndex(
            model_name="workload",
            index=models.Index(fields=["last_seen_on"], name="workloads_by_last_seen"),
        ),
        migrations.AddIndex(
            model_name="sighting",
            index=models.Index(fields=["last_seen_on"], name="sightings_by_last_seen"),
        ),
        migrations.AddConstraint(
            model_name="sighting",
            constraint=models.UniqueConstraint(fields=("workload", "binary"), name="one_sighting_per_pair"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["-first_seen", "-id"], name="alerts_by_start"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("status__in", ["active", "in_progress"])),
                fields=["-first_seen", "-id"],
                name="open_alerts_by_start",
            ),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["status", "closed_at"], name="alerts_by_status"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["cluster", "-first_seen", "-id"], name="alerts_of_cluster"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["binary"], name="alerts_of_binary"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["fingerprint", "-id"], name="alerts_of_fingerprint"),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("current", True)), fields=("fingerprint",), name="one_current_alert"
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status__in", ["active", "in_progress"]), _negated=True),
                    ("current", True),
                    _connector="OR",
                ),
                name="open_alert_is_current",
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(models.Q(("status__in", ["active", "in_progress"])), ("closed_at", None), ("verdict", "")),
                    models.Q(
                        ("closed_at__isnull", False),
                        ("status", "resolved"),
                        ("verdict__in", ["true_positive", "benign_true_positive"]),
                    ),
                    models.Q(
                        ("closed_at__isnull", False),
                        ("status", "dismissed"),
                        ("verdict__in", ["false_positive", "expected", "accepted_risk", "duplicate", "suppressed"]),
                    ),
                    _connector="OR",
                ),
                name="verdict_fits_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status", "dismissed"),
                    models.Q(("quiet_until", None), ("suppressed_by", None), ("until_spread", False)),
                    _connector="OR",
                ),
                name="only_dismissed_is_quiet",
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(("action__in", ["alert", "block"])), name="alert_was_decided"
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(("outcome__in", ["none", "blocked", "not_blocked"])), name="outcome_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(condition=models.Q(("revision__gte", 1)), name="alert_revision_from_one"),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(("previous", models.F("id")), _negated=True), name="alert_follows_another"
            ),
        ),
        migrations.RunSQL(Path(__file__).with_name("events.sql").read_text(), DROP),
    ]
