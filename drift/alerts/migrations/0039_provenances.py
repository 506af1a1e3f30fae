"""Who wrote a file and how its process came into the container: interned, and referred to by events.

A constant default leaves the events alone; portals of the previous version go on storing them without it. Adding the
column takes a moment, but every upload would wait while it waits behind a long query: then run it again.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0038_stored_execs")]

    operations = [
        migrations.CreateModel(
            name="Provenance",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.UUIDField(unique=True)),
                ("session", models.CharField(blank=True, max_length=16)),
                ("written_by", models.CharField(blank=True, max_length=4096)),
                ("written_by_name", models.CharField(blank=True, max_length=256)),
                ("writer_origin", models.CharField(blank=True, max_length=16)),
                ("written_by_parent", models.CharField(blank=True, max_length=256)),
                ("first_seen_on", models.DateField()),
                ("last_seen_on", models.DateField()),
            ],
            options={"indexes": [models.Index(fields=["last_seen_on"], name="provenances_by_last_seen")]},
        ),
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.RunSQL(
            "ALTER TABLE alerts_driftevent ADD COLUMN provenance_id bigint NOT NULL DEFAULT 0",
            "ALTER TABLE alerts_driftevent DROP COLUMN provenance_id",
        ),
    ]
