"""What `bench.alerts` stores: alerts of ninety days, one in ten open, with what they refer to."""

from __future__ import annotations

from django.db import connection
from django.db.backends.utils import CursorWrapper

TABLES = (
    "alerts_alert", "alerts_workload", "alerts_binary", "alerts_incident", "alerts_alertpulse", "alerts_alerthour",
    "alerts_alertdetail", "alerts_alertactivity", "alerts_alertmention", "alerts_alertdelta", "alerts_hourtally",
    "alerts_periodtally", "alerts_totaltally", "alerts_grouptally",
)  # fmt: skip
SHARED = """
INSERT INTO alerts_binary (digest, path, name, sha256, kind, first_seen_on, last_seen_on)
SELECT gen_random_uuid(), '/opt/tool-' || n, 'tool-' || n, md5(n::text) || md5('x' || n),
       CASE n % 10 WHEN 0 THEN 'script' ELSE 'new_file' END, now(), now()
FROM generate_series(1, 2000) AS n;
INSERT INTO alerts_workload (digest, scope, cluster_id, namespace, owner_kind, owner_name, container_name, image_name,
                             image_digest, pod_labels, first_seen_on, last_seen_on)
SELECT gen_random_uuid(), gen_random_uuid(), c.id, 'space-' || n % 40, 'Deployment', 'app-' || n, 'app',
       'ghcr.io/team/app-' || n % 200 || ':1', '', '{}', now(), now()
FROM generate_series(1, 500) AS n
JOIN (SELECT id, row_number() OVER (ORDER BY id) AS place FROM fleet_cluster) c ON c.place % 4 = n % 4;
INSERT INTO alerts_incident (cluster_id, container_id, ancestors, first_seen, last_seen)
SELECT (SELECT min(id) FROM fleet_cluster), md5(n::text) || md5('i' || n), '["12 bash"]', seen, seen
FROM (SELECT n, now() - (%(size)s / 5 - n) * 5 * interval '90 days' / %(size)s AS seen
      FROM generate_series(1, %(size)s / 5) AS n) AS n
"""
ALERTS = """
INSERT INTO alerts_alert (fingerprint, current, severity, status, verdict, first_seen, created_at, changed_at,
    acknowledged_at, closed_at, until_spread, revision, sample, assignee_id, workload_id, binary_id, sensor_id,
    incident_id, cluster_id, namespace, image_name, path, pod_name, container_id, action, reason, rule_id, rule_name,
    policy_number, outcome, node, writer, parent, priority, scoped_priority)
SELECT gen_random_uuid(), true, 'high', status,
    CASE status WHEN 'resolved' THEN 'true_positive' WHEN 'dismissed' THEN 'expected' ELSE '' END, seen, seen, seen,
    CASE WHEN status <> 'active' THEN seen + interval '1 hour' END,
    CASE WHEN status IN ('resolved', 'dismissed') THEN seen + interval '2 hours' END,
    false, 1, false, CASE WHEN n % 10 = 3 THEN %(user)s END, w.id, b.id, s.id, i.id, w.cluster_id, w.namespace,
    w.image_name, b.path, 'pod-' || n, md5(n::text) || md5('c' || n), 'alert', 'scope', 'rule-' || rule,
    'Rule ' || rule, 1, CASE WHEN n % 20 = 7 THEN 'blocked' ELSE 'none' END,
    'node-' || n % 40, CASE n % 5 WHEN 0 THEN 'curl' WHEN 1 THEN '' ELSE 'dpkg' END,
    CASE n % 3 WHEN 0 THEN 'bash' ELSE 'sh' END, score, score
FROM (
    SELECT n, now() - (%(size)s - n) * interval '90 days' / %(size)s AS seen, abs(hashint4(n + 1)) % 20 AS rule,
        floor(100 * power((hashint4(n + 6) & 2147483647) / 2147483648.0, 4)) AS score,
        CASE WHEN dice < 3 THEN 'active' WHEN dice < 4 THEN 'in_progress' WHEN dice < 10 THEN 'dismissed'
             ELSE 'resolved' END AS status
    FROM (SELECT n, abs(hashint4(n + 2)) % 40 AS dice FROM generate_series(1, %(size)s) AS n) AS n
) AS n
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM alerts_workload) w
    ON w.place = floor(500 * power((hashint4(n + 3) & 2147483647) / 2147483648.0, 3))
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM alerts_binary) b
    ON b.place = floor(2000 * power((hashint4(n + 4) & 2147483647) / 2147483648.0, 3))
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM alerts_incident) i
    ON i.place = (n - 1) / 5
JOIN (SELECT cluster_id, min(id::text)::uuid AS id FROM fleet_sensor GROUP BY 1) s ON s.cluster_id = w.cluster_id
ORDER BY n
"""
"""Which workload, binary, rule and status an alert has is mixed by a hash: none goes with another. The commonest
workload has an eighth of the alerts, the commonest binary a twelfth; so a page of either is full at 10,000 too.
"""
OF_ALERTS = """
INSERT INTO alerts_alertpulse (alert_id, count, blocked, last_seen, updated_at)
SELECT id, 5, 0, first_seen, first_seen + (id % 7) * interval '1 hour' FROM alerts_alert;
INSERT INTO alerts_alerthour (alert_id, hour, count) SELECT id, date_trunc('hour', first_seen), 5 FROM alerts_alert;
INSERT INTO alerts_alertactivity (alert_id, at, kind, text, after)
SELECT id, first_seen, CASE WHEN id % 20 = 3 THEN 'comment' ELSE 'opened' END, '',
       jsonb_build_object('mentions', jsonb_build_array(assignee_id)) FROM alerts_alert;
INSERT INTO alerts_alertmention (user_id, alert_id) SELECT assignee_id, id FROM alerts_alert WHERE id % 20 = 3;
INSERT INTO alerts_alertdetail (alert_id, event, search)
SELECT id, jsonb_build_object('kind', 'new_file', 'node', 'n', 'process', jsonb_build_object('path', path, 'name', 'x',
       'argv', jsonb_build_array(path), 'hash_status', 'ok', 'ancestors', '[]'::jsonb),
       'container', jsonb_build_object('id', container_id, 'name', 'app')),
       lower(path || E'\\n' || image_name || E'\\n' || namespace || E'\\n' || pod_name || E'\\n' || container_id ||
             E'\\n' || node || E'\\n' || parent || E'\\n' || writer || E'\\n$ ' || path || ' --pool pool-' || id % 1000)
FROM alerts_alert;
INSERT INTO alerts_alertdelta (count, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name,
                               namespace, verdict, created_at, acknowledged_at, closed_at)
SELECT 1, first_seen, 'azure', cluster_id, binary_id, status, rule_id, image_name,
       namespace, verdict, created_at, acknowledged_at, closed_at
FROM alerts_alert
"""
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND indexdef NOT LIKE 'CREATE UNIQUE%%'
"""


def fill(size: int, user: int) -> None:
    """Replace all alerts by `size` new ones, a tenth of them the user's; the indexes are made at the end."""
    from drift.alerts.actions.fold_tallies import fold_tallies

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY CASCADE")
        cursor.execute(INDEXES, [list(TABLES)])
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        _statements(cursor, SHARED.replace("%(size)s", str(size)))
        _statements(cursor, ALERTS.replace("%(size)s", str(size)).replace("%(user)s", str(user)))
        _statements(cursor, OF_ALERTS)
        for _, statement in indexes:
            cursor.execute(statement)
        cursor.execute("SET session_replication_role = DEFAULT")
    fold_tallies()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    connection.close()


def _statements(cursor: CursorWrapper, text: str) -> None:
    for statement in text.split(";\n"):
        cursor.execute(statement)
