"""Subscribers can receive the audit log's head once a day. These tables hold a month of notices."""

from django.db import migrations, models

KINDS = ["mention", "assigned", "alerts", "health", "halted", "test"]


def kinds(names):
    return models.CheckConstraint(condition=models.Q(("kind__in", names)), name="notice_kind_is_known")


def flag():
    return models.BooleanField(db_default=False, default=False)


class Migration(migrations.Migration):
    dependencies = [("notify", "0003_notice_places")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField("mailsettings", "audit_heads", flag()),
        migrations.AddField("webhook", "audit_heads", flag()),
        *(
            migrations.AlterField(
                model,
                "kind",
                models.CharField(
                    choices=[
                        ("mention", "Mention"),
                        ("assigned", "Assignment"),
                        ("alerts", "New High alerts"),
                        ("health", "Sensor health"),
                        ("halted", "Rollout halted"),
                        ("audit", "Audit log head"),
                        ("test", "Test"),
                    ],
                    max_length=16,
                ),
            )
            for model in ("notice", "pendingnotice", "noticehold")
        ),
        migrations.RemoveConstraint("notice", "notice_kind_is_known"),
        migrations.AddConstraint("notice", kinds([*KINDS[:5], "audit", "test"])),
    ]
