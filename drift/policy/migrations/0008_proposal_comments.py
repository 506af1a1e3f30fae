"""Comments on proposals; a trigger keeps a discussion as it was."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

REFUSE = """
CREATE FUNCTION policy_refuse_comment_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a comment on a proposal never changes' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER comment_is_immutable BEFORE UPDATE OR DELETE ON policy_proposalcomment
    FOR EACH ROW EXECUTE FUNCTION policy_refuse_comment_change();
"""
ALLOW = """
DROP TRIGGER comment_is_immutable ON policy_proposalcomment;
DROP FUNCTION policy_refuse_comment_change();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("policy", "0007_draft_steps"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ProposalComment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.CharField(max_length=1000)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "proposal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="comments", to="policy.policyproposal"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("text", ""), _negated=True), name="proposal_comment_has_text"
                    )
                ],
            },
        ),
        migrations.RunSQL(REFUSE, ALLOW),
    ]
