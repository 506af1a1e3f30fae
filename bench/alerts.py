"""`python -m bench.alerts`: server time of the alerts' pages with 10,000 and with 1,000,000 alerts stored.

SIZES=10000,1000000 chooses others. The goal: p95 of each page at most 60 ms, and at most 1.5 times
between the sizes.
"""

from __future__ import annotations

import os
import time
from typing import Any

from bench.ingest_portal import portal

REPEATS = 40
GOAL_MS, GOAL_RATIO = 60, 1.5
OPEN_SHARE = 10
"""One alert in so many is open."""
FILL = """
INSERT INTO alerts_binary (digest, path, name, sha256, kind, first_seen_on, last_seen_on)
SELECT gen_random_uuid(), '/opt/tool-' || n, 'tool-' || n, md5(n::text) || md5('x' || n), 'new_file', now(), now()
FROM generate_series(1, 2000) AS n;
INSERT INTO alerts_workload (digest, scope, cluster_id, namespace, owner_kind, owner_name, container_name, image_name,
                             image_digest, pod_labels, first_seen_on, last_seen_on)
SELECT gen_random_uuid(), gen_random_uuid(), c.id, 'space-' || n % 40, 'Deployment', 'app-' || n, 'app',
       'ghcr.io/team/app-' || n % 200 || ':1', '', '{}', now(), now()
FROM generate_series(1, 500) AS n JOIN fleet_cluster c ON c.id % 4 = n % 4;
INSERT INTO alerts_alert (fingerprint, current, severity, status, verdict, first_seen, created_at, changed_at,
    closed_at, until_spread, revision, sample, workload_id, binary_id, sensor_id, cluster_id, namespace, image_name,
    path, pod_name, container_id, action, reason, rule_id, rule_name, policy_number, outcome)
SELECT gen_random_uuid(), true, 'high',
       CASE WHEN n % %(share)s = 0 THEN 'active' ELSE 'resolved' END,
       CASE WHEN n % %(share)s = 0 THEN '' ELSE 'true_positive' END,
       now() - n * interval '1 second', now() - n * interval '1 second', now(),
       CASE WHEN n % %(share)s = 0 THEN NULL ELSE now() END,
       false, 1, false, w.id, b.id, s.id, w.cluster_id, w.namespace, w.image_name, b.path, 'pod-' || n,
       md5(n::text) || md5('c' || n), 'alert', 'default', 'default', 'Default binary drift rule', 1, 'none'
FROM generate_series(1, %(size)s) AS n
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM alerts_workload) w ON w.place = n % 500
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM alerts_binary) b ON b.place = n % 2000
JOIN LATERAL (SELECT id FROM fleet_sensor WHERE cluster_id = w.cluster_id LIMIT 1) s ON true;
INSERT INTO alerts_alertpulse (alert_id, count, blocked, last_seen, updated_at)
SELECT id, 5, 0, first_seen, first_seen FROM alerts_alert;
INSERT INTO alerts_alerthour (alert_id, hour, count) SELECT id, date_trunc('hour', first_seen), 5 FROM alerts_alert;
INSERT INTO alerts_alertdetail (alert_id, event, search)
SELECT id, jsonb_build_object('kind', 'new_file', 'node', 'n', 'process', jsonb_build_object('path', path, 'name', 'x',
       'argv', jsonb_build_array(path), 'hash_status', 'ok', 'ancestors', '[]'::jsonb),
       'container', jsonb_build_object('id', container_id, 'name', 'app')),
       lower(path || E'\\n' || image_name || E'\\n' || namespace || E'\\n' || pod_name || E'\\n' || container_id)
FROM alerts_alert;
ANALYZE;
"""
TABLES = "alerts_alert, alerts_workload, alerts_binary, alerts_alertpulse, alerts_alerthour, alerts_alertdetail"


def main() -> None:
    """Measure and print; some five minutes on two cores, most of them to store the million."""
    sizes = [int(part) for part in os.environ.get("SIZES", "10000,1000000").split(",")]
    with portal():
        from bench.ingest import make_estate

        make_estate()
        browser = _browser()
        measured = {size: _measure(browser, size) for size in sizes}
    print(f"{'page':<28}" + "".join(f"{size:>14,}" for size in sizes) + f"{'ratio':>8}")
    for name in measured[sizes[0]]:
        times = [measured[size][name] for size in sizes]
        print(f"{name:<28}" + "".join(f"{each:>11.1f} ms" for each in times) + f"{times[-1] / times[0]:>8.2f}")
    print(f"p95 of {REPEATS}; goal {GOAL_MS} ms, ratio {GOAL_RATIO}")


def _browser() -> Any:
    from django.conf import settings
    from django.test import Client

    from accounts.models import User
    from accounts.roles import Role

    settings.ALLOWED_HOSTS = ["*"]
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    browser = Client()
    browser.force_login(User.objects.create_user("bench@example.com", "Bench", Role.OPERATOR, None))
    return browser


def _measure(browser: Any, size: int) -> dict[str, float]:
    """Fill the tables with `size` alerts; the p95 of each page in milliseconds."""
    _fill(size)
    return {name: _p95(browser, url) for name, url in _pages().items()}


def _fill(size: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            f"TRUNCATE {TABLES} CASCADE".replace("TRUNCATE", "SET session_replication_role = replica; TRUNCATE")
        )
        cursor.execute(FILL.replace("%(size)s", str(size)).replace("%(share)s", str(OPEN_SHARE)))
        cursor.execute("SET session_replication_role = DEFAULT")
    connection.close()


def _pages() -> dict[str, str]:
    from drift.alerts.models import Alert, Binary
    from drift.fleet.models import Cluster

    one = Alert.objects.order_by("pk")[0]
    binary = Binary.objects.order_by("pk")[0]
    cluster = Cluster.objects.order_by("pk")[0]
    shown = ",".join(str(pk) for pk in Alert.objects.order_by("-pk").values_list("pk", flat=True)[:50])
    return {
        "list": "/alerts/",
        "list, all statuses": "/alerts/?status=any",
        "list, by update": "/alerts/?sort=-updated",
        "list, by namespace": "/alerts/?sort=group",
        "filter cluster": f"/alerts/?cluster={cluster.pk}",
        "filter subscription": f"/alerts/?environment={cluster.environment_id}&status=any",
        "filter namespace": "/alerts/?namespace=space-1",
        "filter image": "/alerts/?image=ghcr.io/team/app-1:1",
        "filter binary": f"/alerts/?binary={binary.pk}&status=any",
        "search, rare": f"/alerts/?status=any&q={one.pod_name}",
        "search, common": "/alerts/?q=tool",
        "search, nothing": "/alerts/?status=any&q=nowhere-to-be-found",
        "group by rule": "/alerts/?group=rule",
        "group by image": "/alerts/?group=image&status=any",
        "live": f"/alerts/live/?since=0&shown={shown}",
        "detail": f"/alerts/{one.pk}/",
        "timeline": f"/alerts/{one.pk}/?tab=timeline",
        "take action": f"/alerts/{one.pk}/?tab=action",
        "charts": "/alerts/charts/?days=7",
    }


def _p95(browser: Any, url: str) -> float:
    times = []
    for _ in range(REPEATS + 3):
        begun = time.perf_counter()
        answer = browser.get(url)
        times.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, (url, answer.status_code)
    return sorted(times[3:])[int(REPEATS * 0.95)]


if __name__ == "__main__":
    main()
