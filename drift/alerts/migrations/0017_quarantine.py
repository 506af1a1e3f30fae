"""Alerts that are set aside while their sensor is in quarantine: no tally counts them (docs/alerts.md#quarantine)."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

COUNT = """
CREATE OR REPLACE FUNCTION alerts_count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alerts_alertdelta (count, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name,
                                   namespace, verdict, created_at, acknowledged_at, closed_at)
    SELECT CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END,
           first_seen, provider, cluster_id, binary_id, status, rule_id, image_name, namespace,
           verdict, created_at, acknowledged_at, closed_at
    FROM changed JOIN (
        SELECT cluster.id AS cluster_id, provider
        FROM fleet_cluster AS cluster JOIN fleet_environment AS environment ON environment.id = environment_id
    ) AS place USING (cluster_id)
    WHERE set_aside_at IS NULL;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION alerts_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alerts_alertdelta (count, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name,
                                   namespace, verdict, created_at, acknowledged_at, closed_at)
    SELECT sign,
           first_seen, provider, cluster_id, binary_id, status, rule_id, image_name, namespace,
           verdict, created_at, acknowledged_at, closed_at
    FROM (SELECT -1 AS sign, OLD.* UNION ALL SELECT 1, NEW.*) AS changed JOIN (
        SELECT cluster.id AS cluster_id, provider
        FROM fleet_cluster AS cluster JOIN fleet_environment AS environment ON environment.id = environment_id
    ) AS place USING (cluster_id)
    WHERE set_aside_at IS NULL;
    RETURN NULL;
END $$;
DROP TRIGGER change_is_counted ON alerts_alert;
CREATE TRIGGER change_is_counted AFTER UPDATE ON alerts_alert FOR EACH ROW
    WHEN ((OLD.status, OLD.verdict, OLD.first_seen, OLD.acknowledged_at, OLD.closed_at, OLD.set_aside_at IS NULL)
          IS DISTINCT FROM (NEW.status, NEW.verdict, NEW.first_seen, NEW.acknowledged_at, NEW.closed_at, NEW.set_aside_at IS NULL))
    EXECUTE FUNCTION alerts_count_change();
"""
COUNT_BEFORE = """
DROP TRIGGER change_is_counted ON alerts_alert;
CREATE TRIGGER change_is_counted AFTER UPDATE ON alerts_alert FOR EACH ROW
    WHEN ((OLD.status, OLD.verdict, OLD.first_seen, OLD.acknowledged_at, OLD.closed_at)
          IS DISTINCT FROM (NEW.status, NEW.verdict, NEW.first_seen, NEW.acknowledged_at, NEW.closed_at))
    EXECUTE FUNCTION alerts_count_change();
CREATE OR REPLACE FUNCTION alerts_count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alerts_alertdelta (count, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name,
                                   namespace, verdict, created_at, acknowledged_at, closed_at)
    SELECT CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END,
           first_seen, provider, cluster_id, binary_id, status, rule_id, image_name, namespace,
           verdict, created_at, acknowledged_at, closed_at
    FROM changed JOIN (
        SELECT cluster.id AS cluster_id, provider
        FROM fleet_cluster AS cluster JOIN fleet_environment AS environment ON environment.id = environment_id
    ) AS place USING (cluster_id);
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION alerts_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alerts_alertdelta (count, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name,
                                   namespace, verdict, created_at, acknowledged_at, closed_at)
    SELECT sign,
           first_seen, provider, cluster_id, binary_id, status, rule_id, image_name, namespace,
           verdict, created_at, acknowledged_at, closed_at
    FROM (SELECT -1 AS sign, OLD.* UNION ALL SELECT 1, NEW.*) AS changed JOIN (
        SELECT cluster.id AS cluster_id, provider
        FROM fleet_cluster AS cluster JOIN fleet_environment AS environment ON environment.id = environment_id
    ) AS place USING (cluster_id);
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0016_cluster_rule_hits"),
        ("fleet", "0013_quarantine"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name="alert",
            name="open_alert_is_current",
        ),
        migrations.RemoveConstraint(
            model_name="alertactivity",
            name="activity_kind_is_known",
        ),
        migrations.AddField(
            model_name="alert",
            name="set_aside_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="alertactivity",
            name="kind",
            field=models.CharField(
                choices=[
                    ("opened", "opened the alert"),
                    ("status", "changed the status"),
                    ("assigned", "assigned the alert"),
                    ("comment", "commented"),
                    ("spread", "ended the snooze"),
                    ("set_aside", "set the alert aside"),
                    ("restored", "brought the alert back"),
                    ("suppressed", "dismissed the alert by a suppression rule"),
                ],
                max_length=16,
            ),
        ),
        AddConstraintNotValid(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status__in", ["active", "in_progress"]), _negated=True),
                    ("current", True),
                    ("set_aside_at__isnull", False),
                    _connector="OR",
                ),
                name="open_alert_is_current",
            ),
        ),
        AddConstraintNotValid(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(("set_aside_at", None), ("current", False), _connector="OR"),
                name="set_aside_is_not_current",
            ),
        ),
        AddConstraintNotValid(
            model_name="alertactivity",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        ["opened", "status", "assigned", "comment", "spread", "set_aside", "restored", "suppressed"],
                    )
                ),
                name="activity_kind_is_known",
            ),
        ),
        migrations.RunSQL(COUNT, COUNT_BEFORE),
    ]
