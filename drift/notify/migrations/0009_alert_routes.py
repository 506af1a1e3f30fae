"""Routes of alerts, and their kind of notice. Existing notices are checked by the next migration, without a long lock."""

import django.contrib.postgres.fields
import django.utils.timezone
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models.functions import Lower


def kind():
    return models.CharField(
        choices=[
            ("mention", "Mention"),
            ("assigned", "Assignment"),
            ("alerts", "New High alerts"),
            ("health", "Sensor health"),
            ("halted", "Rollout halted"),
            ("audit", "Audit log head"),
            ("account", "Account"),
            ("test", "Test"),
            ("route", "Alert route"),
        ],
        max_length=16,
    )


class Migration(migrations.Migration):
    dependencies = [("notify", "0008_rewrite_webhooks")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="notice", name="notice_kind_is_known"),
        migrations.AlterField("notice", "kind", kind()),
        migrations.AlterField("noticehold", "kind", kind()),
        migrations.AlterField("pendingnotice", "kind", kind()),
        AddConstraintNotValid(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        ["mention", "assigned", "alerts", "health", "halted", "audit", "account", "test", "route"],
                    )
                ),
                name="notice_kind_is_known",
            ),
        ),
        migrations.CreateModel(
            name="AlertRoute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("query", models.CharField(max_length=4000)),
                (
                    "addresses",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.EmailField(max_length=254), default=list, size=None
                    ),
                ),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
                ("revision", models.PositiveIntegerField(default=1)),
                ("webhooks", models.ManyToManyField(blank=True, related_name="routes", to="notify.webhook")),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(Lower("name"), name="one_alert_route_per_name"),
                    models.CheckConstraint(
                        condition=models.Q(("revision__gte", 1)), name="alert_route_revision_from_one"
                    ),
                ],
            },
        ),
    ]
