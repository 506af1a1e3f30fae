"""How often each rule decided in each cluster. The last days' events are counted once, by a query that locks nothing."""

import django.db.models.deletion
from django.db import migrations, models

COUNT = """
INSERT INTO alerts_clusterrulehits (cluster_id, day, rule, action, execs, last_at)
SELECT cluster_id, observed_on, rule, action, sum(count), max(last_at)
FROM alerts_driftevent JOIN alerts_workload ON alerts_workload.id = workload_id
WHERE observed_on > current_date - 8 AND rule <> '' GROUP BY 1, 2, 3, 4
"""


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0015_alert_budgets"),
        ("fleet", "0010_earlier_processes"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClusterRuleHits",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("rule", models.CharField(max_length=256)),
                ("action", models.CharField(max_length=8)),
                ("execs", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
                (
                    "cluster",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="fleet.cluster",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "rule hits of clusters",
                "indexes": [models.Index(fields=["cluster", "rule"], name="hits_of_cluster")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("execs__gte", 1)), name="cluster_hits_are_execs")
                ],
            },
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
