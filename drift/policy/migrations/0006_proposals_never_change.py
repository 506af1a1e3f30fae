"""What a proposal proposes never changes: whoever accepts it accepts what they read."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION policy_refuse_proposal_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the content of a proposal never changes' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER proposal_content_is_immutable BEFORE UPDATE ON policy_policyproposal
    FOR EACH ROW WHEN ((OLD.author_id, OLD.base_id, OLD.document, OLD.restores_id, OLD.comment)
                       IS DISTINCT FROM (NEW.author_id, NEW.base_id, NEW.document, NEW.restores_id, NEW.comment))
    EXECUTE FUNCTION policy_refuse_proposal_change();
"""
ALLOW = """
DROP TRIGGER proposal_content_is_immutable ON policy_policyproposal;
DROP FUNCTION policy_refuse_proposal_change();
"""


class Migration(migrations.Migration):
    dependencies = [("policy", "0005_second_approver")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
