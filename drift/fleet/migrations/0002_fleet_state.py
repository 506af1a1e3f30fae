"""The fleet state's one row exists."""

from django.db import migrations

INSERT = """
INSERT INTO fleet_fleetstate (id, blocking_stopped, blocking_changed_at, epoch)
VALUES (1, false, now(), 0) ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("fleet", "0001_initial")]
    operations = [migrations.RunSQL(INSERT, migrations.RunSQL.noop)]
