"""Priorities of alerts, lists of known files, and users' views of the list (docs/priority.md).

Constant defaults leave the rows alone, and a longer severity is no new one; alerts of before get their priorities from
`alerts.score_alerts`. Portals of the previous version go on opening alerts without.
"""

import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0029_incidents_of_workload"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.CreateModel(
            name="AlertScoring",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="HashList",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64)),
                ("verdict", models.CharField(choices=[("good", "Known good"), ("bad", "Known bad")], max_length=4)),
                ("size", models.PositiveIntegerField()),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="ListedHash",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sha256", "hash_list_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sha256", models.CharField(max_length=64)),
                (
                    "hash_list",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="hashes", to="alerts.hashlist"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ListPreference",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("sort", models.CharField(blank=True, max_length=16)),
                ("is_compact", models.BooleanField(default=False)),
            ],
        ),
        migrations.AddConstraint(
            model_name="hashlist",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"), name="one_hash_list_per_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="hashlist",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["good", "bad"])), name="hash_verdict_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="listedhash",
            constraint=models.CheckConstraint(
                condition=models.Q(("sha256__regex", "^[0-9a-f]{64}$")), name="listed_hash_is_sha256"
            ),
        ),
        migrations.AddField(
            model_name="alert",
            name="priority",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="alert",
            name="scoped_priority",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="alert",
            name="signals",
            field=models.JSONField(null=True),
        ),
        migrations.AlterField(
            model_name="alert",
            name="severity",
            field=models.CharField(
                choices=[("high", "High"), ("medium", "Medium"), ("low", "Low"), ("informational", "Informational")],
                default="high",
                max_length=16,
            ),
        ),
        AddConstraintNotValid(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__in", ["high", "medium", "low", "informational"])),
                name="severity_is_known",
            ),
        ),
        AddConstraintNotValid(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(("priority__range", (0, 100)), ("scoped_priority__range", (0, 100))),
                name="priority_is_percentage",
            ),
        ),
    ]
