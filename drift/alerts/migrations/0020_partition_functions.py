"""Partitions of the event table are made and dropped by two functions that run as its owner.

The portal's role can thereby do this and nothing else: it cannot create, alter or drop any table. The functions take a
date and nothing that could be a name.
"""

from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION alerts_create_partition(day date) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp SET datestyle = 'ISO, YMD' AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
    name CONSTANT text := 'alerts_driftevent_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF day IS NULL OR day < today - 3660 OR day > today + 31 THEN
        RAISE EXCEPTION 'no partition for %: within ten years back and a month ahead', day
            USING ERRCODE = 'check_violation';
    END IF;
    IF to_regclass('{literal}.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Created alone, then attached: that takes a weaker lock on the parent (SHARE UPDATE EXCLUSIVE) than CREATE TABLE
    -- ... PARTITION OF (ACCESS EXCLUSIVE), so ingest goes on.
    EXECUTE format('CREATE TABLE {literal}.%I (LIKE {literal}.alerts_driftevent INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE {literal}.alerts_driftevent ATTACH PARTITION {literal}.%I FOR VALUES FROM (%L) TO (%L)',
                   name, day, day + 1);
    RETURN true;
END $$;

CREATE FUNCTION alerts_drop_partition(day date) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp SET datestyle = 'ISO, YMD' AS $$
DECLARE
    name CONSTANT text := 'alerts_driftevent_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF day IS NULL OR NOT isfinite(day) OR day >= (now() AT TIME ZONE 'UTC')::date THEN
        RAISE EXCEPTION 'the partition of % is not dropped: only past days are', day USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = '{literal}.alerts_driftevent'::regclass
                   AND inhrelid = to_regclass('{literal}.' || name)) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE {literal}.%I', name);
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION alerts_create_partition(date) FROM PUBLIC;
REVOKE ALL ON FUNCTION alerts_drop_partition(date) FROM PUBLIC;
"""
NO_FUNCTIONS = """
DROP FUNCTION alerts_drop_partition(date);
DROP FUNCTION alerts_create_partition(date);
"""


def create(apps, schema_editor):
    """Functions name their schema: nobody's search_path, and no temporary table, leads them elsewhere."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
    literal = schema.replace("'", "''").replace("%", "%%")
    schema_editor.execute(FUNCTIONS.format(schema=schema, literal=literal), params=None)


def drop(apps, schema_editor):
    schema_editor.execute(NO_FUNCTIONS, params=None)


class Migration(migrations.Migration):
    dependencies = [("alerts", "0019_quarantine_valid")]
    operations = [migrations.RunPython(create, drop)]
