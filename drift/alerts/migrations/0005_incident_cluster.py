import django.db.models.deletion
from django.db import migrations, models

FILL = """
DELETE FROM alerts_incident AS incident
WHERE NOT EXISTS (SELECT FROM alerts_alert WHERE incident_id = incident.id);
UPDATE alerts_incident AS incident SET cluster_id = (
    SELECT cluster_id FROM alerts_alert WHERE incident_id = incident.id ORDER BY id LIMIT 1
);
UPDATE alerts_alert AS alert SET incident_id = NULL
FROM alerts_incident AS incident WHERE incident.id = alert.incident_id AND incident.cluster_id <> alert.cluster_id;
SET CONSTRAINTS ALL IMMEDIATE
"""
"""An incident gets the cluster of its first alert; alerts of other clusters, which were joined by mistake, leave it."""


def _cluster(**options: bool) -> models.ForeignKey:
    return models.ForeignKey(
        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="fleet.cluster", **options
    )


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0004_no_stored_trace"),
        ("fleet", "0003_staged_rollouts"),
    ]

    operations = [
        migrations.AddField(model_name="incident", name="cluster", field=_cluster(null=True)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField(model_name="incident", name="cluster", field=_cluster()),
        migrations.RemoveIndex(model_name="incident", name="incidents_of_container"),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["cluster", "container_id", "-last_seen"], name="incidents_of_container"),
        ),
    ]
