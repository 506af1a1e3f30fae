"""A function of the owner's deletes the command lines of a past day's events; the portal's role cannot change events.

What is done is kept as the partition's comment, so that an interrupted run goes on where it stopped.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION alerts_delete_command_lines(day date, first_page bigint, inserted bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp SET datestyle = 'ISO, YMD' AS $$
DECLARE
    pages CONSTANT bigint := 500;
    name CONSTANT text := 'alerts_driftevent_' || to_char(day, 'YYYYMMDD');
    next_page bigint;
    changed bigint;
BEGIN
    IF day IS NULL OR NOT isfinite(day) OR day >= (now() AT TIME ZONE 'UTC')::date
       OR first_page IS NULL OR first_page < 0 OR first_page > 4294960000 OR inserted IS NULL THEN
        RAISE EXCEPTION 'command lines of % are not deleted: only those of past days are', day
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = '{literal}.alerts_driftevent'::regclass
                   AND inhrelid = to_regclass('{literal}.' || name)) THEN
        RETURN 0;
    END IF;
    next_page := least(first_page + pages, 4294967295);
    EXECUTE format('UPDATE {literal}.%I SET detail = detail || ''{{"argv": [], "argv_truncated": true}}''
                    WHERE ctid >= $1 AND ctid < $2 AND detail -> ''argv'' NOT IN (''[]'', ''null'')', name)
        USING format('(%s,0)', first_page)::tid, format('(%s,0)', next_page)::tid;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF next_page * current_setting('block_size')::bigint >= pg_relation_size(to_regclass('{literal}.' || name)) THEN
        next_page := -1;
    END IF;
    EXECUTE format('COMMENT ON TABLE {literal}.%I IS %L', name,
                   format('command lines deleted: inserted %s, next page %s', inserted, next_page));
    RETURN changed;
END $$;

REVOKE ALL ON FUNCTION alerts_delete_command_lines(date, bigint, bigint) FROM PUBLIC;
"""


def create(apps, schema_editor):
    """Functions name their schema: nobody's search_path, and no temporary table, leads them elsewhere."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
    literal = schema.replace("'", "''").replace("%", "%%")
    schema_editor.execute(FUNCTION.format(schema=schema, literal=literal), params=None)


def drop(apps, schema_editor):
    schema_editor.execute("DROP FUNCTION alerts_delete_command_lines(date, bigint, bigint)", params=None)


class Migration(migrations.Migration):
    dependencies = [("alerts", "0020_partition_functions")]
    operations = [migrations.RunPython(create, drop)]
