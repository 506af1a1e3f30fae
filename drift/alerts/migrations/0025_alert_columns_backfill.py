"""Fill the columns of alerts from before them, and add what their searches did not find: parent, writer, command line.

It may be interrupted and repeated. Portals of the previous version still store NULL after it.
"""

from django.db import migrations

BACKFILL = """
DO $$
DECLARE
    step CONSTANT bigint := 2000;
    start bigint := 0;
    last CONSTANT bigint := (SELECT max(id) FROM alerts_alert);
BEGIN
    WHILE start < last LOOP
        WITH changed AS (
            UPDATE alerts_alert AS alert SET
                node = left(coalesce(detail.event ->> 'node', ''), 256),
                writer = CASE WHEN reason LIKE '%flood' THEN '' ELSE
                    left(coalesce(detail.event #>> '{process,written_by,name}', ''), 256) END,
                parent = CASE WHEN reason LIKE '%flood' THEN '' ELSE
                    left(coalesce(detail.event #>> '{process,parent,name}', ''), 256) END
            FROM (
                SELECT id FROM alerts_alert WHERE id > start AND id <= start + step AND node IS NULL
                ORDER BY fingerprint FOR NO KEY UPDATE
            ) AS old JOIN alerts_alertdetail AS detail ON detail.alert_id = old.id
            WHERE alert.id = old.id
            RETURNING alert.id
        )
        UPDATE alerts_alertdetail AS detail SET search = search || lower(concat(
            E'\\n' || nullif(event #>> '{process,parent,path}', ''),
            E'\\n' || nullif(event #>> '{process,parent,name}', ''),
            E'\\n' || nullif(event #>> '{process,written_by,path}', ''),
            E'\\n' || nullif(event #>> '{process,written_by,name}', ''),
            E'\\n$ ' || (
                SELECT nullif(left(string_agg(word, ' ' ORDER BY place), 1024), '')
                FROM jsonb_array_elements_text(
                    CASE jsonb_typeof(event #> '{process,argv}') WHEN 'array' THEN event #> '{process,argv}' END
                ) WITH ORDINALITY AS argv (word, place)
            )
        ))
        FROM changed WHERE detail.alert_id = changed.id;
        COMMIT;
        start := start + step;
    END LOOP;
END $$
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0024_alert_columns")]

    operations = [migrations.RunSQL(BACKFILL, migrations.RunSQL.noop)]
