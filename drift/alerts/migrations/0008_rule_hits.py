"""How often each rule decided. The last days' events are counted once, by a query that locks nothing."""

from django.db import migrations, models

COUNT = """
INSERT INTO alerts_rulehits (day, rule, action, execs, last_at)
SELECT observed_on, rule, action, sum(count), max(last_at) FROM alerts_driftevent
WHERE observed_on > current_date - 8 AND rule <> '' GROUP BY 1, 2, 3
"""


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0007_tallies"),
    ]

    operations = [
        migrations.CreateModel(
            name="RuleHits",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("rule", models.CharField(max_length=256)),
                ("action", models.CharField(max_length=8)),
                ("execs", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "rule hits",
                "constraints": [models.CheckConstraint(condition=models.Q(("execs__gte", 1)), name="hits_are_execs")],
            },
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
