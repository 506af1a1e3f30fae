"""`python -m bench.backtest`: a 1,000-rule draft against stored events, beside COPY of their policy columns.

10,000 workloads × 50 binaries of the policy benchmark's estate (bench.policy_mix), spread over seven days, pod names
fresh in every event, one fingerprint per workload and binary, two answers on writer and session for each, one event in
ten without. The draft changes 30 of its base's rules; then the same once more with rules on writers and sessions.
What is timed is the whole of a run, both policies compiled anew. COPY reads the event columns that a policy looks at
(workload, binary, provenance, parent, pod, count) into this process and drops them. EVENTS=100000,1000000 chooses how
many.
"""

from __future__ import annotations

import copy
import datetime as dt
import functools
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from bench import policy_mix
from bench.ingest_portal import portal

WORKLOADS = 10_000
DAYS = 7
RUNS = 3
GOAL = 3.0
CHANGED = 30
PROVENANCES = 40
COLUMNS = "workload_id, binary_id, provenance_id, parent_name, pod_name, count"
Json = dict[str, Any]


def main() -> None:
    """Measure and print; a minute on two cores, most of it to make the events."""
    sizes = [int(part) for part in os.environ.get("EVENTS", "100000,1000000").split(",")]
    with portal():
        today = dt.datetime.now(dt.UTC).date()
        make_estate(today)
        plain, known = (documents(document) for document in (base(), policy_mix.with_provenance(base())))
        stored = 0
        medians: list[float] = []
        for size in sizes:
            store(size - stored, today)
            stored = size
            medians.append(measure(size, *plain, today))
            print(f"{size:>12,} events, two conditions more on writers and sessions in one rule of ten:")
            measure(size, *known, today)
        for size, median in zip(sizes[1:], medians[1:], strict=True):
            print(f"{size:>12,} events take {median / medians[0]:.1f} × the time of {sizes[0]:,}")


def measure(size: int, before: Json, after: Json, today: dt.date) -> float:
    """Print a line per run and one for the medians; return the median seconds of a backtest."""
    from drift.backtest.queries.comparison import compare

    first_day, until = today - dt.timedelta(days=DAYS - 1), dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    found: list[Json] = []
    tested, copied = [], []
    for _ in range(RUNS):
        tested.append(timed(lambda: found.append(dict(compare(before, after, first_day, until, lambda _: True)))))
        copied.append(timed(copy_out))
        print(f"{size:>12,} events: backtest {tested[-1]:.2f} s, COPY {copied[-1]:.2f} s")
    assert found[-1]["events"] == size
    test, raw = statistics.median(tested), statistics.median(copied)
    print(
        f"{size:>12,} events: median {test:.2f} s = {test / raw:.1f} × COPY (goal ≤ {GOAL:.0f}); {summary(found[-1])}"
    )
    return test


def summary(result: Json) -> str:
    """Return a summary of the result, which shows that the case is not trivial."""
    alerts = result["alerts"]
    return (
        f"{result['changed_events']:,} decided otherwise, alerts {alerts['before']:,} → {alerts['after']:,}, "
        f"{alerts['vanish']:,} vanish, {alerts['appear']:,} appear"
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def copy_out() -> None:
    """Read the policy columns of all events, and drop them."""
    from django.db import connection

    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY (SELECT {COLUMNS} FROM alerts_driftevent) TO STDOUT") as rows,
    ):
        for _ in rows:
            pass


def base() -> Json:
    """The base of 1,000 rules."""
    return policy_mix.make_mix().document(1_000)


def documents(document: Json) -> tuple[Json, Json]:
    """A base, and the draft: 30 rules with another action, switched off, or moved up."""
    from sensor.policy import normalise

    before = normalise(document)
    after = copy.deepcopy(before)
    rng = random.Random(policy_mix.SEED)
    for number in rng.sample(range(1_000), CHANGED):
        rule = after["rules"][number]
        change = number % 3
        if change == 0:
            rule["action"] = "alert" if rule["action"] == "ignore" else "ignore"
        elif change == 1:
            rule["enabled"] = not rule["enabled"]
        else:
            after["rules"].insert(4, after["rules"].pop(number))
    return before, after


def make_estate(today: dt.date) -> None:
    """Clusters, workloads and binaries, with ids from 1."""
    from drift.alerts.actions.partitions import keep_partitions

    keep_partitions()
    rng = random.Random(policy_mix.SEED)
    facts = [policy_mix._workload(rng, number) for number in range(WORKLOADS)]
    fill("alerts_workload", (workload(number, each, today) for number, each in enumerate(facts, 1)))
    fill("alerts_binary", (binary(number, path, today) for number, path in enumerate(policy_mix.BINARIES, 1)))
    fill("alerts_provenance", (provenance(number, rng, today) for number in range(1, PROVENANCES + 1)))


def workload(number: int, facts: Json, today: dt.date) -> Json:
    """A row of alerts_workload."""
    import uuid

    from psycopg.types.json import Jsonb

    image, _, digest = facts["image_name"].partition("@")
    return {
        "id": number,
        "digest": uuid.UUID(int=number),
        "scope": uuid.UUID(int=number),
        "cluster_id": cluster_id(facts["provider"], facts["account"], facts["cluster_name"]),
        "namespace": facts["namespace"],
        "owner_kind": "Deployment",
        "owner_name": facts["pod_labels"]["app"],
        "container_name": facts["container_name"],
        "image_name": image,
        "image_digest": digest,
        "pod_labels": Jsonb(facts["pod_labels"]),
        "first_seen_on": today,
        "last_seen_on": today,
    }


@functools.cache
def cluster_id(provider: str, account: str, name: str) -> int:
    """The id of a cluster, which is made if there is none."""
    from drift.fleet.models import Cluster, Environment

    environment, _ = Environment.objects.get_or_create(provider=provider, account=account, defaults={"name": account})
    facts = {"distribution": "aks", "kubernetes_version": "v1.31.2"}
    row, _ = Cluster.objects.get_or_create(environment=environment, name=name, defaults=facts)
    pk: int = row.pk
    return pk


def binary(number: int, path: str, today: dt.date) -> Json:
    """A row of alerts_binary."""
    import uuid

    return {
        "id": number,
        "digest": uuid.UUID(int=number),
        "path": path,
        "name": path.rpartition("/")[2],
        "sha256": f"{policy_mix.content_hash(path):064x}",
        "kind": policy_mix.KINDS[number % len(policy_mix.KINDS)],
        "first_seen_on": today,
        "last_seen_on": today,
    }


def provenance(number: int, rng: random.Random, today: dt.date) -> Json:
    """A row of alerts_provenance."""
    import uuid

    facts = {name: rng.choice(values) for name, values in policy_mix.PROVENANCE.items()}
    return {"id": number, "digest": uuid.UUID(int=number), **facts, "first_seen_on": today, "last_seen_on": today}


def fill(table: str, rows: Iterable[Json]) -> None:
    """COPY rows, all with the same keys, into a table."""
    from django.db import connection

    made = list(rows)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(made[0])}) FROM STDIN") as target:
        for row in made:
            target.write_row(tuple(row.values()))


STORE = """
    INSERT INTO alerts_driftevent (observed_on, sensor_id, event_id, mode, count, observed_at, last_at, workload_id,
        binary_id, provenance_id, fingerprint, parent_name, pod_name, container_id, action, rule, reason, policy_number,
        outcome, outcome_reason, detail)
    SELECT day, md5('s' || w %% 500)::uuid, gen_random_uuid(), 'exec', 1, at, at, w, b,
        CASE WHEN i %% 10 > 0 THEN 1 + (w * 31 + b + i %% 2) %% %(provenances)s ELSE 0 END, md5(w || ':' || b)::uuid,
        (ARRAY['bash', 'sh', 'dpkg', 'supervisord', 'python3'])[1 + i %% 5],
        owner_name || '-' || (pod_labels->>'pod-template-hash') || '-' || substr(md5(i::text), 1, 5),
        md5('c' || w) || md5('d' || w), 'ignore', 'default', 'default', 1, 'none', '',
        jsonb_build_object('argv', jsonb_build_array('/opt/app/agent', '--config', '/etc/agent/agent.yaml'),
            'cwd', '/opt/app', 'uid', 1000, 'pid', i, 'size', 123456, 'parent', '/bin/bash',
            'ancestors', jsonb_build_array('tini', 'supervisord', 'bash'), 'identity', 'complete')
    FROM (SELECT i, 1 + floor(%(workloads)s * power(random(), 2))::int AS w,
            1 + floor(%(binaries)s * random())::int AS b,
            %(first)s::date + (i %% %(days)s) AS day,
            (%(first)s::date + (i %% %(days)s))::timestamptz + interval '1 hour' AS at
        FROM generate_series(1, %(count)s) AS i) AS made JOIN alerts_workload AS workload ON workload.id = made.w
"""


def store(count: int, today: dt.date) -> None:
    """Store `count` more events from the same random numbers each time; leave the table as after autovacuum."""
    from django.db import connection

    values: dict[str, Any] = {
        "workloads": WORKLOADS,
        "binaries": len(policy_mix.BINARIES),
        "provenances": PROVENANCES,
        "first": today - dt.timedelta(days=DAYS - 1),
        "days": DAYS,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(STORE, values)
        cursor.execute("VACUUM ANALYZE alerts_driftevent")
        cursor.execute("ANALYZE alerts_workload")


if __name__ == "__main__":
    main()
