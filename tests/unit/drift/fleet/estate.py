"""Helpers that create the estate of the fleet's tests."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from accounts import tokens
from drift.fleet.models import Cluster, EnrolmentToken, Environment, Sensor, SensorState, SensorStatus
from drift.policy.models import PolicyVersion
from sensor.policy import default_document, digest

ENROL = "/api/v1/sensors/enrol"
POLICY = "/api/v1/sensors/me/policy"
STATUS = "/api/v1/sensors/me/policy/status"
HEARTBEAT = "/api/v1/sensors/me/heartbeat"
TICKET = "/api/v1/sensors/me/stream-ticket"


def environment(provider: str = "azure", account: str = "sub-1", **fields: Any) -> Environment:
    row: Environment = Environment.objects.create(
        provider=provider, account=account, **{"name": f"{provider} {account}", **fields}
    )
    return row


def cluster(env: Environment | None = None, name: str = "prod", **fields: Any) -> Cluster:
    facts = {"distribution": "aks", "kubernetes_version": "v1.31.2", **fields}
    row: Cluster = Cluster.objects.create(environment=env or environment(), name=name, **facts)
    return row


def token(env: Environment, **fields: Any) -> tuple[EnrolmentToken, str]:
    """Return the row and the secret that a node sends."""
    new = tokens.new_token(tokens.ENROLMENT)
    row = EnrolmentToken.objects.create(
        environment=env, prefix=new.prefix, digest=new.digest, **{"name": "nodes", **fields}
    )
    return row, new.token


def sensor(of: Cluster, node: str = "node-1", by: EnrolmentToken | None = None, **fields: Any) -> tuple[Sensor, str]:
    """Return a live sensor whose desired version is 1, and its credential."""
    new = tokens.new_token(tokens.SENSOR)
    facts = {"state": SensorState.LIVE, "desired_version_id": 1, **fields}
    row = Sensor.objects.create(
        cluster=of,
        node=node,
        enrolment_token=by or token(of.environment)[0],
        credential_prefix=new.prefix,
        credential_digest=new.digest,
        **facts,
    )
    return row, new.token


def fleet_of(of: Cluster, by: EnrolmentToken, count: int) -> list[Sensor]:
    """Return `count` live sensors in the order of their ids."""
    rows = [sensor(of, f"node-{number}", by)[0] for number in range(count)]
    return sorted(rows, key=lambda row: row.pk)


def desired() -> list[int | None]:
    """Return the sensors' desired versions, in the order of their ids."""
    return list(Sensor.objects.order_by("pk").values_list("desired_version_id", flat=True))


def seen(row: Sensor, ago: dt.timedelta = dt.timedelta(0), **fields: Any) -> None:
    """Set its last heartbeat, so long ago."""
    SensorStatus.objects.create(sensor=row, last_seen_at=timezone.now() - ago, **fields)


def text_of(answer: Any) -> str:
    """Return a page's text with its white space collapsed."""
    assert answer.status_code == 200, answer.content[:300]
    return " ".join(answer.content.decode().split())


def escaped(text: str) -> str:
    """Return a text as a page has it."""
    return str(escape(text))


def version(number: int, **document: Any) -> PolicyVersion:
    """Return a version without a rollout, as if the Save's message and signal were lost."""
    body = {**default_document(), **document}
    return PolicyVersion.objects.create(number=number, document=body, digest=digest(body), base_id=1)


def request_of(text: str, **fields: Any) -> dict[str, Any]:
    """Return a node's enrolment request."""
    return {
        "token": text,
        "cluster": {"name": "prod", "distribution": "aks", "kubernetes_version": "v1.31.2"},
        "node": "node-1",
        "sensor_version": "0.1.0",
        "capabilities": ["ebpf", "block"],
        "previous_credential": None,
        **fields,
    }


def enrol(text: str, **fields: Any) -> Any:
    """Return the portal's response."""
    return Client().post(ENROL, json.dumps(request_of(text, **fields)), content_type="application/json")


def as_sensor(credential: str) -> Client:
    """Return a client that sends the credential."""
    return Client(headers={"Authorization": f"Bearer {credential}"})


def status_of(policy: PolicyVersion, state: str = "applied", error: str = "") -> dict[str, Any]:
    """Return a sensor's status report on a version."""
    return {"number": policy.number, "digest": policy.digest, "state": state, "error": error}


def beat(**fields: Any) -> dict[str, Any]:
    """A heartbeat."""
    counters = {"execs": 10, "drifted": 2, "unresolved": 0, "spooled": 0, "set_aside": 0, "lost": {"ring": 1}}
    return {
        "sensor_version": "0.1.1",
        "kubernetes_version": "v1.31.2",
        "capabilities": ["ebpf"],
        "backend": "ebpf",
        "applied_number": None,
        "counters": counters,
        **fields,
    }


def together(calls: int, work: Callable[[int], Any]) -> list[Any]:
    """Return the results of `calls` threads that start together, each with its own connection."""

    def run(place: int) -> Any:
        try:
            return work(place)
        finally:
            connection.close()

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(run, range(calls)))
