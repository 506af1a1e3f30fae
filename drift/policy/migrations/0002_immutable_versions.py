"""A version never changes, and the number floor's one row exists."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION policy_refuse_version_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a saved policy version never changes' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER version_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_policyversion
    FOR EACH STATEMENT EXECUTE FUNCTION policy_refuse_version_change();
INSERT INTO policy_numberfloor (id, number) VALUES (1, 0) ON CONFLICT DO NOTHING;
"""
ALLOW = """
DROP TRIGGER version_is_immutable ON policy_policyversion;
DROP FUNCTION policy_refuse_version_change();
"""


class Migration(migrations.Migration):
    dependencies = [("policy", "0001_initial")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
