"""Queue the open alerts to be scored by the changed table of signals (docs/priority.md#changing-the-table).

One statement of a few bytes a row; the task scores them in the background. Without it they would mix with new alerts.
"""

from django.db import migrations

QUEUE = """
INSERT INTO alerts_alertscoring (alert_id, created_at)
SELECT id, now() FROM alerts_alert WHERE status IN ('active', 'in_progress')
"""


class Migration(migrations.Migration):
    dependencies = [("alerts", "0047_rescore_by_provenance")]

    operations = [migrations.RunSQL(QUEUE, migrations.RunSQL.noop)]
