"""Statistics of which namespaces each cluster has. The migration can be repeated.

Without them PostgreSQL takes clusters and namespaces to be independent, and a namespace of one of four clusters to have
a quarter of its alerts there: for users who see single namespaces it then reads all alerts of one rather than the
newest by an index. Later ones are gathered by autovacuum, with those of each column.
"""

from django.db import migrations

NAME = "alerts_places"


class Migration(migrations.Migration):
    dependencies = [("alerts", "0058_rescore_by_arguments")]

    operations = [
        migrations.RunSQL(
            f"CREATE STATISTICS IF NOT EXISTS {NAME} ON cluster_id, namespace FROM alerts_alert",
            f"DROP STATISTICS IF EXISTS {NAME}",
        ),
        migrations.RunSQL("ANALYZE alerts_alert (cluster_id, namespace)", migrations.RunSQL.noop),
    ]
