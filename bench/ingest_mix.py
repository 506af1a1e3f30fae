"""Batches of drift events as eight sensors send them, over HTTP: a tenth alerts, over 500 fingerprints."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import random
import sys
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.ingest_portal import Portal

CLIENTS = 8
BATCH = 500
FINGERPRINTS = 500
CLUSTERS = 4
ALERTING = 10
"""One event in so many alerts."""
WORKLOADS = 50


@dataclass(frozen=True)
class Sender:
    """One sensor's credential."""

    credential: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credential}", "Content-Type": "application/json"}


def make_batches(count: int, day: dt.date) -> list[list[bytes]]:
    """For each client so many batches of events of `day`, as JSON bodies."""
    rng = random.Random(count)
    return [
        [json.dumps({"events": [event(rng, day) for _ in range(BATCH)]}).encode() for _ in range(count)]
        for _ in range(CLIENTS)
    ]


def event(rng: random.Random, day: dt.date) -> dict[str, Any]:
    """A drifted exec of `day`, at this time of it. 500 fingerprints in all: a workload and one of a few paths."""
    alerts = rng.randrange(ALERTING) == 0
    workload = 0 if alerts else rng.randrange(WORKLOADS)
    path = f"/tmp/tool-{rng.randrange(FINGERPRINTS // CLUSTERS)}" if alerts else f"/opt/build/step-{rng.randrange(40)}"
    at = dt.datetime.combine(day, dt.datetime.now(dt.UTC).timetz()).isoformat()
    decision = {"action": "alert" if alerts else "ignore", "rule": "default", "reason": "default", "policy_number": 1}
    return {
        "event_id": str(uuid.UUID(int=random.getrandbits(128))),
        "mode": "exec",
        "count": 1,
        "observed_at": at,
        "last_at": at,
        "kind": "new_file",
        "process": _process(rng, path, at),
        "container": _container(workload),
        "decision": decision,
    }


def _process(rng: random.Random, path: str, at: str) -> dict[str, Any]:
    return {
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
    }


def _container(workload: int) -> dict[str, Any]:
    return {
        "id": f"{workload:064x}",
        "name": "app",
        "runtime": "containerd",
        "image_name": f"ghcr.io/team/app-{workload}:1.2",
        "image_digest": "sha256:" + "0" * 64,
        "namespace": "shop",
        "pod_name": f"cart-{workload}-7d9f-abcde",
        "pod_labels": {"app": f"cart-{workload}", "pod-template-hash": "7d9f"},
        "owner": {"kind": "Deployment", "name": f"cart-{workload}"},
    }


def send_all(here: Portal, senders: Sequence[Sender], batches: list[list[bytes]]) -> float:
    """Seconds that all clients take to have all their batches acknowledged."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(senders)) as pool:
        list(pool.map(lambda pair: send(here, *pair), zip(senders, batches, strict=True)))
    return time.perf_counter() - begun


def send(here: Portal, sender: Sender, bodies: list[bytes], pause: float = 0.0) -> None:
    """Post the bodies one after the other over one connection, one in `pause` seconds. Ends all at any refusal."""
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
    begun = time.perf_counter()
    for number, body in enumerate(bodies):
        time.sleep(max(0.0, begun + number * pause - time.perf_counter()))
        connection.request("POST", "/api/v1/sensors/me/events", body, sender.headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"bench: {answer.status} {text[:200]!r}")
