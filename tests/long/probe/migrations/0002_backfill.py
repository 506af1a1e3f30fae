"""The new column of alerts, filled in steps that commit."""

from django.db import migrations

BACKFILL = """
DO $$
DECLARE
    step CONSTANT bigint := 5000;
    start bigint := 0;
    last CONSTANT bigint := (SELECT max(id) FROM alerts_alert);
BEGIN
    WHILE start < last LOOP
        UPDATE alerts_alert SET probe = 1 WHERE id IN (
            SELECT id FROM alerts_alert WHERE id > start AND id <= start + step AND probe IS NULL
            ORDER BY fingerprint FOR NO KEY UPDATE
        );
        COMMIT;
        start := start + step;
    END LOOP;
END $$
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("probe", "0001_columns")]
    operations = [migrations.RunSQL(BACKFILL)]
