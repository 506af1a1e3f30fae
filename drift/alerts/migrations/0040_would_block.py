"""The outcome of a dry run of blocking: no row has it yet, so the constraints are not checked under the lock."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0039_provenances")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.RunSQL(
            """
            ALTER TABLE alerts_driftevent DROP CONSTRAINT alerts_driftevent_outcome_check;
            ALTER TABLE alerts_driftevent ADD CONSTRAINT alerts_driftevent_outcome_check
                CHECK (outcome IN ('none', 'blocked', 'not_blocked', 'would_block')) NOT VALID;
            """,
            """
            ALTER TABLE alerts_driftevent DROP CONSTRAINT alerts_driftevent_outcome_check;
            ALTER TABLE alerts_driftevent ADD CONSTRAINT alerts_driftevent_outcome_check
                CHECK (outcome IN ('none', 'blocked', 'not_blocked')) NOT VALID;
            """,
        ),
        migrations.RemoveConstraint(model_name="alert", name="outcome_is_known"),
        AddConstraintNotValid(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(("outcome__in", ["none", "blocked", "not_blocked", "would_block"])),
                name="outcome_is_known",
            ),
        ),
    ]
