"""An index of the partitioned table, partition by partition."""

from django.db import migrations

PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'alerts_driftevent'::regclass"


def build(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
        cursor.execute("CREATE INDEX IF NOT EXISTS probe_index ON ONLY alerts_driftevent (probe)")
        cursor.execute("RESET lock_timeout")
        cursor.execute(PARTITIONS)
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}_probe")
            cursor.execute(f"CREATE INDEX CONCURRENTLY {name}_probe ON {name} (probe)")
            cursor.execute(f"ALTER INDEX probe_index ATTACH PARTITION {name}_probe")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("probe", "0002_backfill")]
    operations = [migrations.RunPython(build)]
