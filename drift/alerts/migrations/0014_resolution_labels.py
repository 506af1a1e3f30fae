"""Labels of resolutions and timeline entries. State only: choices are not part of the database's schema."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0013_mentions_of_any_form"),
    ]

    operations = [
        migrations.AlterField(
            model_name="alert",
            name="verdict",
            field=models.CharField(
                blank=True,
                choices=[
                    ("true_positive", "True positive"),
                    ("benign_true_positive", "Benign true positive"),
                    ("false_positive", "False positive"),
                    ("expected", "Expected"),
                    ("accepted_risk", "Accepted risk"),
                    ("duplicate", "Duplicate"),
                    ("suppressed", "Suppressed"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="alertactivity",
            name="kind",
            field=models.CharField(
                choices=[
                    ("opened", "opened the alert"),
                    ("status", "changed the status"),
                    ("assigned", "assigned the alert"),
                    ("comment", "commented"),
                    ("spread", "ended the snooze"),
                    ("suppressed", "dismissed the alert by a suppression rule"),
                ],
                max_length=16,
            ),
        ),
    ]
