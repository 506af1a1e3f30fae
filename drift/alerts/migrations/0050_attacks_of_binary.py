"""An index of the true positives of a content, which no suppression rule dismisses: a few rows.

The migration can be repeated. An interrupted build leaves an invalid index: drop the one that `\\d alerts_alert` calls
invalid before the next attempt.
"""

from django.db import migrations, models
from django.db.models import Q

NAME = "attacks_of_binary"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0049_ephemeral_containers")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [
                migrations.RunSQL(
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON alerts_alert (binary_id)"
                    " WHERE verdict = 'true_positive'",
                    f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
                )
            ],
            [
                migrations.AddIndex(
                    "alert", models.Index(fields=["binary"], condition=Q(verdict="true_positive"), name=NAME)
                )
            ],
        )
    ]
