"""The database checks a new seal against the one before it, and that a reader can read every new entry.

The portal's role inserts seals. Without this, code that an attacker makes it run could date a seal back, so that
retention deletes a recent entry, or take a position so high that the sealer never finds the next one. An entry with a
number of thousands of digits, or nested without end, would make every reader fail, the sealer first.
"""

from django.db import migrations

GUARDS = r"""
CREATE FUNCTION accounts_guard_new_seal() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp AS $$
DECLARE
    last_position bigint;
    last_digest bytea;
    head text;
BEGIN
    SELECT seal.position, seal.digest INTO last_position, last_digest
    FROM {schema}.accounts_auditseal AS seal ORDER BY seal.position DESC LIMIT 1;
    IF NOT FOUND THEN
        last_position := 0;
        last_digest := decode(repeat('00', 32), 'hex');
    END IF;
    -- accounts.audit_chain.chain_digest, in SQL.
    head := format(E'driftwatch audit 1\n%s\n%s\n', NEW.position,
                   to_char(NEW.sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'));
    IF NEW.position IS DISTINCT FROM last_position + 1
       OR NEW.sealed_at NOT BETWEEN now() - interval '1 hour' AND clock_timestamp()
       OR length(NEW.record) <> 32
       OR NEW.digest IS DISTINCT FROM sha256(convert_to(head, 'UTF8') || last_digest || NEW.record)
       OR NEW.erased <> '{{}}'
       OR NOT EXISTS (SELECT FROM {schema}.accounts_auditentry WHERE id = NEW.entry_id) THEN
        RAISE EXCEPTION 'not the next seal of the audit log' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER seals_follow_each_other BEFORE INSERT ON accounts_auditseal
    FOR EACH ROW EXECUTE FUNCTION accounts_guard_new_seal();

ALTER TABLE accounts_auditentry ADD CONSTRAINT audit_values_are_readable CHECK (
    (before IS NULL OR NOT jsonb_path_exists(before, '$.**{{64}}') AND NOT jsonb_path_exists(
        before, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))'))
    AND (after IS NULL OR NOT jsonb_path_exists(after, '$.**{{64}}') AND NOT jsonb_path_exists(
        after, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))'))
) NOT VALID;
"""
NO_GUARDS = """
ALTER TABLE accounts_auditentry DROP CONSTRAINT audit_values_are_readable;
DROP TRIGGER seals_follow_each_other ON accounts_auditseal;
DROP FUNCTION accounts_guard_new_seal();
"""


def guard(apps, schema_editor):
    """Functions name their schema: nobody's search_path, and no temporary table, leads them elsewhere."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
    schema_editor.execute(GUARDS.format(schema=schema), params=None)


def unguard(apps, schema_editor):
    schema_editor.execute(NO_GUARDS, params=None)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_verified_addresses")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.RunPython(guard, unguard),
    ]
