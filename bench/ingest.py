"""`python -m bench.ingest`: events per second through the API, durable end to end, beside raw COPY of the same rows.

Batches of 500 from 8 clients, a tenth of the events alerting over 500 fingerprints. Then the time from
an event to the list of alerts at half that load, and the same with millions of events stored already.
ROWS=0,1000000,10000000 chooses how many (the default leaves the ten million out: they take minutes).
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import random
import statistics
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.ingest_portal import Portal, portal

CLIENTS = 8
BATCH = 500
BATCHES = 20
"""Per client and run: 80,000 events."""
RUNS = 3
FINGERPRINTS = 500
CLUSTERS = 4
ALERTING = 10
"""One event in so many alerts."""
WORKLOADS = 50
FLOOR, GOAL = 0.2, 0.35


@dataclass(frozen=True)
class Sender:
    """One sensor's credential."""

    credential: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credential}", "Content-Type": "application/json"}


def main() -> None:
    """Measure and print; some two minutes on two cores."""
    sizes = [int(part) for part in os.environ.get("ROWS", "0,1000000").split(",")]
    with portal() as here:
        senders = make_estate()
        send_all(here, senders, make_batches(4))
        rates = {}
        for size in sizes:
            fill(here, size)
            rates[size] = measure(here, senders, size)
        latency(here, senders, rates[sizes[0]])
    base = rates[sizes[0]]
    for size in sizes[1:]:
        print(f"{size:>12,} stored events: {rates[size] / base:.2f} of the rate with {sizes[0]:,}")


def measure(here: Portal, senders: list[Sender], size: int) -> float:
    """The median rate of RUNS runs, each beside raw COPY of its rows; prints a line a run."""
    rates, ratios = [], []
    for _ in range(RUNS):
        batches = make_batches(BATCHES)
        seconds = send_all(here, senders, batches)
        count = sum(len(each) for each in batches) * BATCH
        copied = raw_copy(here, count)
        rates.append(count / seconds)
        ratios.append(copied / seconds)
        run = f"{rates[-1]:>8,.0f} events/s, raw COPY {count / copied:>8,.0f}/s, ratio {ratios[-1]:.2f}"
        print(f"{size:>12,} stored: {run}")
    rate, ratio = statistics.median(rates), statistics.median(ratios)
    print(f"{size:>12,} stored: median {rate:,.0f} events/s, ratio {ratio:.2f} (floor {FLOOR}, goal {GOAL})")
    return rate


def make_estate() -> list[Sender]:
    """A sensor for each client, two to a cluster."""
    from accounts import tokens
    from drift.fleet.models import Cluster, EnrolmentToken, Environment, Sensor
    from drift.policy.models import PolicyVersion

    environment = Environment.objects.create(provider="azure", account="bench", name="Bench")
    enrolment = EnrolmentToken.objects.create(name="bench", prefix="bench", digest=b"", environment=environment)
    version = PolicyVersion.objects.order_by("-number").first()
    senders = []
    for number in range(CLIENTS):
        name = f"cluster-{number % CLUSTERS}"
        cluster, _ = Cluster.objects.get_or_create(
            environment=environment, name=name, defaults={"distribution": "aks", "kubernetes_version": "v1.31.2"}
        )
        new = tokens.make(tokens.SENSOR)
        Sensor.objects.create(
            cluster=cluster,
            node=f"node-{number}",
            credential_prefix=new.prefix,
            credential_digest=new.digest,
            enrolment_token=enrolment,
            desired_version=version,
        )
        senders.append(Sender(new.text))
    return senders


def make_batches(count: int) -> list[list[bytes]]:
    """For each client so many batches, as JSON bodies."""
    rng = random.Random(count)
    return [
        [json.dumps({"events": [event(rng) for _ in range(BATCH)]}).encode() for _ in range(count)]
        for _ in range(CLIENTS)
    ]


def event(rng: random.Random) -> dict[str, Any]:
    """A drifted exec of now. 500 fingerprints in all: a workload and one of a few paths."""
    alerts = rng.randrange(ALERTING) == 0
    workload = rng.randrange(WORKLOADS)
    path = f"/tmp/tool-{rng.randrange(FINGERPRINTS // CLUSTERS)}" if alerts else f"/opt/build/step-{rng.randrange(40)}"
    at = dt.datetime.now(dt.UTC).isoformat()
    decision = {"action": "alert" if alerts else "ignore", "rule": "default", "reason": "default", "policy_number": 1}
    workload = 0 if alerts else workload
    return {
        "event_id": str(uuid.UUID(int=rng.getrandbits(64) << 64 | random.getrandbits(64))),
        "mode": "exec",
        "count": 1,
        "observed_at": at,
        "last_at": at,
        "kind": "new_file",
        "process": {
            "name": path.rpartition("/")[2],
            "path": path,
            "argv": [path, "--threads", "4", "-o", "pool.example:3333"],
            "cwd": "/tmp",
            "uid": 33,
            "pid": rng.randrange(4_000_000),
            "started_at": at,
            "sha256": f"{hash(path) & (2**64 - 1):064x}",
            "hash_status": "ok",
            "size": 123_456,
            "parent": {"name": "bash", "path": "/bin/bash", "pid": 77},
            "ancestors": [{"name": "php-fpm", "pid": 12}, {"name": "tini", "pid": 1}],
        },
        "container": {
            "id": f"{workload:064x}",
            "name": "app",
            "runtime": "containerd",
            "image_name": f"ghcr.io/team/app-{workload}:1.2",
            "image_digest": "sha256:" + "0" * 64,
            "namespace": "shop",
            "pod_name": f"cart-{workload}-7d9f-abcde",
            "pod_labels": {"app": f"cart-{workload}", "pod-template-hash": "7d9f"},
            "owner": {"kind": "Deployment", "name": f"cart-{workload}"},
        },
        "decision": decision,
    }


def send_all(here: Portal, senders: list[Sender], batches: list[list[bytes]]) -> float:
    """Seconds that all clients take to have all their batches acknowledged."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda pair: send(here, *pair), zip(senders, batches, strict=True)))
    return time.perf_counter() - begun


def send(here: Portal, sender: Sender, bodies: list[bytes], pause: float = 0.0) -> list[float]:
    """Post the bodies one after the other over one connection; seconds that each took. Stops at any refusal."""
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
    took = []
    for body in bodies:
        begun = time.perf_counter()
        connection.request("POST", "/api/v1/sensors/me/events", body, sender.headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"bench: {answer.status} {text[:200]!r}")
        took.append(time.perf_counter() - begun)
        time.sleep(max(0.0, pause - took[-1]))
    return took


def raw_copy(here: Portal, count: int) -> float:
    """Seconds that one text COPY takes to put the newest `count` rows back into the table they were taken from."""
    with psycopg.connect(here.database_url) as connection, connection.cursor() as cursor:
        cursor.execute(TAKE, [count])
        with cursor.copy("COPY same TO STDOUT") as copy:
            rows = b"".join(bytes(part) for part in copy)
        cursor.execute(REMOVE)
        connection.commit()
        begun = time.perf_counter()
        with cursor.copy("COPY alerts_driftevent FROM STDIN") as copy:
            copy.write(rows)
        connection.commit()
        return time.perf_counter() - begun


TAKE = "CREATE TEMP TABLE same AS SELECT * FROM alerts_driftevent ORDER BY received_at DESC LIMIT %s"
REMOVE = """
DELETE FROM alerts_driftevent AS event USING same
WHERE (event.observed_on, event.sensor_id, event.event_id) = (same.observed_on, same.sensor_id, same.event_id)
"""


def fill(here: Portal, size: int) -> None:
    """Bring today's partition to about `size` stored events: copies of a stored one under new ids."""
    with psycopg.connect(here.database_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM alerts_driftevent").fetchone()
        missing = size - (row[0] if row else 0)
        if missing > 0:
            connection.execute(COPIES, [missing])
            connection.execute("ANALYZE alerts_driftevent")


COPIES = """
INSERT INTO alerts_driftevent
SELECT one.observed_on, one.sensor_id, gen_random_uuid(), one.mode, one.count, one.observed_at, one.last_at,
       one.received_at, one.workload_id, one.binary_id, one.fingerprint, one.parent_name, one.pod_name,
       one.container_id, one.action, one.rule, one.reason, one.policy_number, one.outcome, one.outcome_reason,
       one.detail
FROM (SELECT *, row_number() OVER () AS n FROM alerts_driftevent LIMIT 5000) AS one
JOIN generate_series(1, %s) AS copy ON copy %% 5000 + 1 = one.n
"""


def latency(here: Portal, senders: list[Sender], rate: float) -> None:
    """From sending an event to reading its alert in the list, at half of `rate`."""
    from drift.alerts.models import Alert

    pause = CLIENTS * BATCH / (rate / 2)
    batches = make_batches(12)
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(send, here, *pair, pause) for pair in zip(senders[1:], batches[1:], strict=True)]
        took = []
        while not all(each.done() for each in running):
            took.append(_until_listed(here, senders[0], Alert.objects.count))
            time.sleep(pause / 4)
    took.sort()
    median, worst = statistics.median(took) * 1000, took[min(len(took) - 1, int(len(took) * 0.99))] * 1000
    print(f"event → in the list at half load: median {median:.0f} ms, p99 {worst:.0f} ms (goal 1,000 ms)")


def _until_listed(here: Portal, sender: Sender, count: Any) -> float:
    """Seconds until an alert that is sent now can be read."""
    one = event(random.Random(1))
    one |= {"event_id": str(uuid.uuid4()), "decision": one["decision"] | {"action": "alert"}}
    one["process"] |= {"path": f"/new/{uuid.uuid4()}"}
    before = count()
    begun = time.perf_counter()
    send(here, sender, [json.dumps({"events": [one]}).encode()])
    while count() <= before:
        time.sleep(0.005)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
