"""Rename three models and relabel choices. Tables keep their names: nothing is done in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notify", "0001_initial")]
    # The table's name is fixed first: a rename of a model whose table stays the same leaves the database alone.
    operations = [
        migrations.AlterModelTable("Delivery", "notify_delivery"),
        migrations.AlterModelTable("Hold", "notify_hold"),
        migrations.AlterModelTable("Pending", "notify_pending"),
        migrations.RenameModel("Delivery", "NoticeDelivery"),
        migrations.RenameModel("Hold", "NoticeHold"),
        migrations.RenameModel("Pending", "PendingNotice"),
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
                    ("test", "Test"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="noticedelivery",
            name="state",
            field=models.CharField(
                choices=[("waiting", "Waiting"), ("sent", "Sent"), ("dead", "Failed")], default="waiting", max_length=8
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
                    ("test", "Test"),
                ],
                max_length=16,
            ),
        ),
    ]
