"""Notices of changes to a user's account. Existing rows are checked by the next migration, without a long lock."""

from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notify", "0004_audit_heads"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name="notice",
            name="notice_kind_is_known",
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("mention", "Mention"),
                    ("assigned", "Assignment"),
                    ("alerts", "New High alerts"),
                    ("health", "Sensor health"),
                    ("halted", "Rollout halted"),
                    ("audit", "Audit log head"),
                    ("account", "Account"),
                    ("test", "Test"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="noticehold",
            name="kind",
            field=models.CharField(
                choices=[
                    ("mention", "Mention"),
                    ("assigned", "Assignment"),
                    ("alerts", "New High alerts"),
                    ("health", "Sensor health"),
                    ("halted", "Rollout halted"),
                    ("audit", "Audit log head"),
                    ("account", "Account"),
                    ("test", "Test"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="pendingnotice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("mention", "Mention"),
                    ("assigned", "Assignment"),
                    ("alerts", "New High alerts"),
                    ("health", "Sensor health"),
                    ("halted", "Rollout halted"),
                    ("audit", "Audit log head"),
                    ("account", "Account"),
                    ("test", "Test"),
                ],
                max_length=16,
            ),
        ),
        AddConstraintNotValid(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["mention", "assigned", "alerts", "health", "halted", "audit", "account", "test"])
                ),
                name="notice_kind_is_known",
            ),
        ),
    ]
