"""An estate of two clusters, and events as sensors send them."""

from __future__ import annotations

import copy
import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.actions.tokens import create_token
from accounts.models import User
from accounts.roles import Role
from accounts.tokens import TokenScope
from drift.alerts.actions import suppression_rules
from drift.alerts.actions.event_keys import clear_caches
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.suppression_rules import ReviewRequired, SuppressionDraft
from drift.alerts.models import Alert, SuppressionRule
from drift.alerts.queries import compiled_policies
from drift.fleet.models import Cluster, EnrolmentToken, Environment, Sensor
from drift.policy.models import PolicyVersion
from sensor import policy

RULE = "6f0c7a1e-0000-4000-8000-000000000001"
VERSION = 101
"""Far above what the migrations make."""
EVENT = {
    "mode": "exec",
    "count": 1,
    "kind": "new_file",
    "process": {
        "name": "xmrig",
        "path": "/var/www/html/xmrig",
        "argv": ["./xmrig", "-o", "pool"],
        "cwd": "/var/www/html",
        "uid": 33,
        "pid": 3256138,
        "sha256": "a" * 64,
        "hash_status": "ok",
        "size": 1234,
        "parent": {"name": "bash", "path": "/bin/bash", "pid": 3256073},
        "ancestors": [{"name": "php-fpm", "pid": 3255001}],
    },
    "container": {
        "id": "c" * 64,
        "name": "app",
        "runtime": "containerd",
        "image_name": "ghcr.io/team/app:1.2",
        "namespace": "shop",
        "pod_name": "cart-7d9f-abcde",
        "pod_labels": {"app": "cart", "pod-template-hash": "7d9f"},
    },
    "decision": {"action": "alert", "rule": RULE, "reason": "scope", "policy_number": VERSION},
}


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` over `base`; `a__b` reaches into a nested object."""
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        place = merged
        *way, last = key.split("__")
        for step in way:
            place = place[step]
        place[last] = value
    return merged


def event(**changes: Any) -> dict[str, Any]:
    """An event of now, with a fresh id."""
    at = changes.pop("at", now()).isoformat()
    return merge({"event_id": str(uuid.uuid4()), "observed_at": at, "last_at": at, **EVENT}, changes)


def raw(*events: dict[str, Any]) -> list[bytes]:
    return [json.dumps(each).encode() for each in events]


@dataclass
class Estate:
    """Two sensors of one cluster, one of another."""

    sensors: list[Sensor]
    credentials: list[str]

    def client(self, index: int = 0) -> Client:
        return Client(headers={"Authorization": f"Bearer {self.credentials[index]}"})


def document(action: str = "alert") -> dict[str, Any]:
    found = policy.default_document()
    rule = {
        "id": RULE,
        "name": "Alert on the shop",
        "action": action,
        "scope_description": "shop",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [{"property": "namespace", "any_of": [{"operator": "equals", "value": "shop"}]}],
        "allow_list": [],
    }
    return policy.normalise({**found, "rules": [*found["rules"], rule]})


@pytest.fixture(autouse=True)
def _fresh_memories() -> Iterator[None]:
    """Forget the ids of earlier tests' rows."""
    clear_caches()
    compiled_policies.compiled_version.cache_clear()
    yield
    clear_caches()
    compiled_policies.compiled_version.cache_clear()


def make_estate() -> Estate:
    """Create the estate, and as VERSION the policy that decided the events."""
    version = PolicyVersion.objects.create(number=VERSION, document=document(), digest=policy.digest(document()))
    environment = Environment.objects.create(provider="azure", account="sub-1", name="Shop")
    enrolment = EnrolmentToken.objects.create(name="t", prefix="t", digest=b"", environment=environment)
    sensors, credentials = [], []
    for cluster, nodes in (("blue", ["n1", "n2"]), ("green", ["n3"])):
        row = Cluster.objects.create(
            environment=environment, name=cluster, distribution="aks", kubernetes_version="v1.31.2"
        )
        for node in nodes:
            new = tokens.new_token(tokens.SENSOR)
            credentials.append(new.token)
            sensors.append(
                Sensor.objects.create(
                    cluster=row,
                    node=node,
                    credential_prefix=new.prefix,
                    credential_digest=new.digest,
                    enrolment_token=enrolment,
                    desired_version=version,
                )
            )
    return Estate(sensors, credentials)


@pytest.fixture
def estate(db: None) -> Estate:
    return make_estate()


def save_reviewed(
    actor: User, draft: SuppressionDraft, pk: int | None = None, revision: int | None = None
) -> SuppressionRule:
    """Save a suppression rule as an author who looks at what it would have dismissed."""
    try:
        return suppression_rules.save(actor, draft, pk, revision)
    except ReviewRequired as required:
        return suppression_rules.save(actor, draft, pk, revision, required.preview.token)


@pytest.fixture
def post() -> Callable[..., Any]:
    def send(client: Client, *events: dict[str, Any], **extra: Any) -> Any:
        return client.post(
            "/api/v1/sensors/me/events", json.dumps({"events": events}), content_type="application/json", **extra
        )

    return send


def event_list(*events: Any) -> bytes:
    """A batch as the API server's webhook posts it."""
    return json.dumps(
        {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": list(events)}
    ).encode()


def audit_token(user: User, *scopes: TokenScope) -> str:
    return create_token(user, "api server", timezone.now() + dt.timedelta(days=9), scopes=list(scopes))


def stored_alert(estate: Estate, sent: dict[str, Any], index: int = 0) -> Alert:
    ingest(estate.sensors[index], raw(sent))
    alert: Alert = Alert.objects.select_related("detail").latest("pk")
    return alert


@pytest.fixture
def sender(estate: Estate) -> Callable[..., Any]:
    """Send audit lines of cluster `index` as a service account that may do nothing else."""
    cache.clear()
    user = User.objects.create_user("audit@example.com", "Audit", Role.OPERATOR, "x")
    client = Client(headers={"Authorization": f"Bearer {audit_token(user, TokenScope.KUBERNETES_AUDIT)}"})

    def send(*events: Any, index: int = 0, body: bytes | None = None, **extra: Any) -> Any:
        path = f"/api/v1/clusters/{estate.sensors[index].cluster_id}/kubernetes-audit/"
        data = event_list(*events) if body is None else body
        return client.post(path, data, content_type="application/json", **extra)

    return send
