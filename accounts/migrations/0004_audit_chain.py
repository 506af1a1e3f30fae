"""Entries carry their request, and are sealed into a hash chain (docs/audit.md).

The triggers now compare rows: only blanking personal values, and deleting entries that were sealed 90 days ago, is
accepted. Retention runs through functions of the owner's (SECURITY DEFINER): the portal's role can neither change nor
delete an entry. What was typed as an unknown user's name is blanked: it may be a password.
"""

import datetime

import django.db.models.deletion
from django.db import migrations, models

GUARD = """
CREATE FUNCTION accounts_is_blanked(old jsonb, new jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT new IS NOT DISTINCT FROM old OR CASE WHEN jsonb_typeof(old) = 'object' AND jsonb_typeof(new) = 'object' THEN
        NOT EXISTS (SELECT FROM jsonb_object_keys(old) AS key WHERE NOT new ? key)
        AND NOT EXISTS (SELECT FROM jsonb_each(new) AS pair
                        WHERE NOT old ? pair.key OR pair.value NOT IN ('null', old -> pair.key))
    ELSE new IS NULL END
$$;

CREATE FUNCTION accounts_guard_audit_entry() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM {schema}.accounts_auditseal
                   WHERE entry_id = OLD.id AND sealed_at < now() - interval '90 days') THEN
            RETURN OLD;
        END IF;
    ELSIF (NEW.id, NEW.at, NEW.actor_id, NEW.verb, NEW.object_type, NEW.object_id, NEW.origin, NEW.request_id)
          IS NOT DISTINCT FROM
          (OLD.id, OLD.at, OLD.actor_id, OLD.verb, OLD.object_type, OLD.object_id, OLD.origin, OLD.request_id)
        AND NEW.actor_name IN ('', OLD.actor_name) AND NEW.object_name IN ('', OLD.object_name)
        AND NEW.address IN ('', OLD.address) AND NEW.agent IN ('', OLD.agent)
        AND NEW.session IN ('', OLD.session) AND NEW.token IN ('', OLD.token)
        AND {schema}.accounts_is_blanked(OLD.before, NEW.before)
        AND {schema}.accounts_is_blanked(OLD.after, NEW.after) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION accounts_guard_audit_seal() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.position, NEW.entry_id, NEW.record, NEW.digest, NEW.sealed_at)
           IS NOT DISTINCT FROM (OLD.position, OLD.entry_id, OLD.record, OLD.digest, OLD.sealed_at) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the seals of the audit log are append-only' USING ERRCODE = 'restrict_violation';
END $$;

DROP TRIGGER audit_is_append_only ON accounts_auditentry;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_guard_audit_entry();
CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON accounts_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_refuse_audit_change();
CREATE TRIGGER seals_are_append_only BEFORE UPDATE OR DELETE ON accounts_auditseal
    FOR EACH ROW EXECUTE FUNCTION accounts_guard_audit_seal();
CREATE TRIGGER seals_are_not_truncated BEFORE TRUNCATE ON accounts_auditseal
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_guard_audit_seal();

CREATE FUNCTION accounts_expire_audit_entries(sealed_before timestamptz, maximum integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp AS $$
DECLARE
    through bigint;
    expired bigint[];
BEGIN
    IF sealed_before IS NULL OR sealed_before > now() - interval '90 days' THEN
        RAISE EXCEPTION 'audit entries are kept for at least 90 days' USING ERRCODE = 'check_violation';
    END IF;
    -- Whole prefixes of the chain only: every position up to `through` was sealed before.
    SELECT min(position) - 1 INTO through FROM {schema}.accounts_auditseal WHERE sealed_at >= sealed_before;
    IF through IS NULL THEN
        SELECT max(position) INTO through FROM {schema}.accounts_auditseal;
    END IF;
    SELECT array_agg(id) INTO expired FROM (
        SELECT entry.id FROM {schema}.accounts_auditentry AS entry
        JOIN {schema}.accounts_auditseal AS seal ON seal.entry_id = entry.id
        WHERE seal.position <= through ORDER BY seal.position LIMIT maximum
    ) AS first;
    DELETE FROM {schema}.accounts_auditentry WHERE id = ANY (expired);
    UPDATE {schema}.accounts_auditseal SET salts = '{{}}', erased = '{{}}' WHERE entry_id = ANY (expired);
    RETURN coalesce(cardinality(expired), 0);
END $$;

CREATE FUNCTION accounts_expire_audit_addresses(sealed_before timestamptz, maximum integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp AS $$
DECLARE
    expired bigint[];
BEGIN
    IF sealed_before IS NULL OR sealed_before > now() - interval '7 days' THEN
        RAISE EXCEPTION 'addresses are kept for at least 7 days' USING ERRCODE = 'check_violation';
    END IF;
    SELECT array_agg(id) INTO expired FROM (
        SELECT entry.id FROM {schema}.accounts_auditentry AS entry
        JOIN {schema}.accounts_auditseal AS seal ON seal.entry_id = entry.id
        WHERE NOT (entry.address = '' AND entry.agent = '') AND seal.sealed_at < sealed_before
        ORDER BY entry.id LIMIT maximum FOR UPDATE OF entry
    ) AS first;
    -- accounts.audit_chain.commitment, in SQL.
    UPDATE {schema}.accounts_auditseal AS seal SET
        salts = seal.salts - ARRAY['address', 'agent', 'session', 'token'],
        erased = seal.erased || (
            SELECT coalesce(jsonb_object_agg(path, encode(sha256(
                decode(seal.salts ->> path, 'hex') || convert_to(value, 'UTF8')), 'hex')), '{{}}')
            FROM (VALUES ('address', entry.address), ('agent', entry.agent),
                         ('session', entry.session), ('token', entry.token)) AS part (path, value)
            WHERE value <> '' AND seal.salts ? path
        )
    FROM {schema}.accounts_auditentry AS entry WHERE entry.id = seal.entry_id AND entry.id = ANY (expired);
    UPDATE {schema}.accounts_auditentry SET address = '', agent = '', session = '', token = '' WHERE id = ANY (expired);
    RETURN coalesce(cardinality(expired), 0);
END $$;

REVOKE ALL ON FUNCTION accounts_expire_audit_entries(timestamptz, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION accounts_expire_audit_addresses(timestamptz, integer) FROM PUBLIC;

UPDATE accounts_auditentry SET object_name = '' WHERE verb = 'failed to sign in as' AND object_name <> ''
AND NOT EXISTS (SELECT FROM accounts_user WHERE lower(email) = lower(object_name));
"""
UNGUARD = """
DROP FUNCTION accounts_expire_audit_addresses(timestamptz, integer);
DROP FUNCTION accounts_expire_audit_entries(timestamptz, integer);
DROP TRIGGER seals_are_not_truncated ON accounts_auditseal;
DROP TRIGGER seals_are_append_only ON accounts_auditseal;
DROP TRIGGER audit_is_not_truncated ON accounts_auditentry;
DROP TRIGGER audit_is_append_only ON accounts_auditentry;
DROP FUNCTION accounts_guard_audit_seal();
DROP FUNCTION accounts_guard_audit_entry();
DROP FUNCTION accounts_is_blanked(jsonb, jsonb);
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_refuse_audit_change();
"""


def guard(apps, schema_editor):
    """Functions name their schema: nobody's search_path, and no temporary table, leads them elsewhere."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
    schema_editor.execute(GUARD.format(schema=schema), params=None)


def unguard(apps, schema_editor):
    schema_editor.execute(UNGUARD, params=None)


def text(length):
    return models.CharField(db_default="", default="", max_length=length)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_scopes")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField("auditentry", "origin", text(64)),
        migrations.AddField("auditentry", "address", text(45)),
        migrations.AddField("auditentry", "agent", text(200)),
        migrations.AddField("auditentry", "session", text(16)),
        migrations.AddField("auditentry", "token", text(16)),
        migrations.AddField("auditentry", "request_id", text(64)),
        migrations.AddIndex(
            "auditentry",
            models.Index(
                condition=models.Q(("address", ""), ("agent", ""), _negated=True),
                fields=["id"],
                name="audit_with_address",
            ),
        ),
        migrations.AddConstraint(
            "auditentry",
            models.CheckConstraint(
                condition=models.Q(
                    ("at__gte", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)),
                    ("at__lt", datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC)),
                ),
                name="audit_time_is_plausible",
            ),
        ),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                ("record", models.BinaryField(max_length=32)),
                ("digest", models.BinaryField(max_length=32)),
                ("sealed_at", models.DateTimeField(db_index=True)),
                ("salts", models.JSONField(default=dict)),
                ("erased", models.JSONField(default=dict)),
                (
                    "entry",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="seal",
                        to="accounts.auditentry",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("position__gte", 1)), name="audit_position_from_one")
                ],
            },
        ),
        migrations.RunPython(guard, unguard),
    ]
