"""Queue the open alerts to be scored by the changed table of signals (docs/priority.md#changing-the-table).

Closed ones of the last 30 days are queued too: they keep their priorities, and teach their ways and traits, whose forms
have changed, so that not everything is new after the upgrade. Of true positives all are queued, however old: what came
about like them is found by the way that is stored with them. One statement of a few bytes a row; the task scores them in
the background.
"""

from django.db import migrations

QUEUE = """
INSERT INTO alerts_alertscoring (alert_id, created_at)
SELECT id, now() FROM alerts_alert WHERE status IN ('active', 'in_progress')
UNION ALL
SELECT id, now() FROM alerts_alert WHERE verdict = 'true_positive'
UNION ALL
(SELECT id, now() FROM alerts_alert WHERE status IN ('resolved', 'dismissed') AND verdict <> 'true_positive'
    AND first_seen > now() - interval '30 days' ORDER BY first_seen DESC LIMIT 100000)
"""


class Migration(migrations.Migration):
    dependencies = [("alerts", "0057_place_priority_index")]

    operations = [migrations.RunSQL(QUEUE, migrations.RunSQL.noop)]
