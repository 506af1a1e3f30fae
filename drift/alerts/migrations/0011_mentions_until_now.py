"""Record the mentions in existing comments; then drop the index that finds those, which nothing else uses.

The trigger of 0010 is active by now, so comments need not be locked and no mention is missed between the two.
"""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations

UNTIL_NOW = """
INSERT INTO alerts_alertmention (user_id, alert_id)
SELECT DISTINCT accounts_user.id, alert_id
FROM alerts_alertactivity
CROSS JOIN LATERAL jsonb_array_elements_text(after -> 'mentions') AS mentioned (id)
JOIN accounts_user ON accounts_user.id = mentioned.id::bigint
WHERE kind = 'comment'
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("alerts", "0010_mentions")]

    operations = [
        migrations.RunSQL(UNTIL_NOW, migrations.RunSQL.noop),
        RemoveIndexConcurrently(model_name="alertactivity", name="comments_of_alert"),
    ]
