"""An estate in which everything out of a user's scope bears a marker, and has numbers of its own."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.roles import Role
from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, AlertActivity, SavedView, Status, SuppressionRule
from drift.fleet.models import Cluster, EnrolmentToken, Environment, Proof, Sensor, SensorStatus
from drift.policy.models import PolicyVersion
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import event, raw

MARKER: Final = "qqelsewhere"
"""In every string that is out of scope: no word of a page has it."""
OWN_ID: Final = 600_001
"""The number of the first row in scope: sequences keep their numbers from test to test."""
FOREIGN_ID: Final = 700_001
"""The number of the first row out of scope, in every table."""
NEW_ID: Final = 800_001
"""The number of the first row that a request makes, in every table."""
FOREIGN_SENSOR: Final = uuid.UUID(int=7)
ALERTS: Final = 3
"""Alerts in each place, of distinct files."""


@dataclass
class Place:
    """What was planted in a namespace of a cluster."""

    environment: Environment
    cluster: Cluster
    sensor: Sensor
    alerts: list[Alert] = field(default_factory=list)


def plant_cluster(word: str, sensor_id: uuid.UUID = uuid.UUID(int=6)) -> Place:  # noqa: B008 - a constant
    """Plant an environment with a cluster, a sensor that reported, and an enrolment token, all named by `word`."""
    environment = Environment.objects.create(provider="azure", account=f"{word}-account", name=f"{word}-environment")
    cluster = Cluster.objects.create(
        environment=environment, name=f"{word}-cluster", distribution="aks", kubernetes_version="v1.31.2"
    )
    token = EnrolmentToken.objects.create(
        name=f"{word}-token", prefix=word[:16], digest=b"", environment=environment, cluster=cluster
    )
    sensor = Sensor.objects.create(
        pk=sensor_id,
        cluster=cluster,
        node=f"{word}-node",
        credential_prefix=f"c{word}"[:16],
        credential_digest=b"",
        enrolment_token=token,
        desired_version=PolicyVersion.objects.order_by("-number").first(),
    )
    SensorStatus.objects.create(
        sensor=sensor, sensor_version=f"{word}-version", backend="ebpf", lost_total=5, lost_at=timezone.now()
    )
    Proof.objects.create(sensor=sensor, seen_at=timezone.now(), seconds=1)
    return Place(environment, cluster, sensor)


def plant_alerts(place: Place, namespace: str, word: str, people: list[User], count: int = ALERTS) -> None:
    """Plant events and alerts in a namespace, one in each state of triage, with comments and a suppression rule."""
    known = set(Alert.objects.values_list("pk", flat=True))
    sent = [
        event(
            mode="summary",
            count=10 + index,
            process__path=f"/{word}/file{index}",
            process__name=f"{word}{index}",
            process__sha256=_digest(f"{word} {index}"),
            process__argv=[f"./{word}{index}"],
            container__namespace=namespace,
            container__name=f"{word}-container",
            container__image_name=f"{word}/image:1",
            container__pod_name=f"{word}-pod",
            container__id=_digest(word),
            container__pod_labels={"app": f"{word}-app"},
            at=timezone.now() - dt.timedelta(minutes=30 + index),
        )
        for index in range(count)
    ]
    # The same content as everywhere else: what "also seen in" compares.
    sent.append(
        event(
            process__path=f"/{word}/common",
            process__name=f"{word}common",
            container__namespace=namespace,
            container__image_name=f"{word}/image:1",
            container__pod_name=f"{word}-pod",
            at=timezone.now() - dt.timedelta(minutes=20),
        )
    )
    ingest(place.sensor, raw(*sent))
    place.alerts = list(Alert.objects.exclude(pk__in=known).order_by("pk"))
    author = people[0]
    dismissed, in_progress, *_ = place.alerts
    triage.comment(author, in_progress, f"{word} comment for @{people[-1].email}")
    triage.assign(author, {in_progress.pk: in_progress.revision}, people[-1])
    in_progress.refresh_from_db()
    triage.change_status(
        author, {in_progress.pk: in_progress.revision}, triage.StatusChange(Status.IN_PROGRESS, comment=f"{word} seen")
    )
    dismissed.refresh_from_db()
    triage.change_status(
        author, {dismissed.pk: dismissed.revision}, triage.StatusChange(Status.DISMISSED, "expected", f"{word} known")
    )
    # Settled: a list tells alerts of the last seconds from older ones.
    Alert.objects.filter(pk__in=[each.pk for each in place.alerts]).update(
        created_at=timezone.now() - dt.timedelta(hours=1)
    )
    for alert in place.alerts:
        alert.refresh_from_db()
    rule = SuppressionRule.objects.create(
        name=f"{word}-suppression",
        conditions=[
            {"property": "cluster_name", "any_of": [{"operator": "equals", "value": place.cluster.name}]},
            {"property": "namespace", "any_of": [{"operator": "equals", "value": namespace}]},
        ],
        reason="expected",
        comment=f"{word} comment",
        hits=17,
        created_by=author,
    )
    rule.environments.set([place.environment])
    SavedView.objects.create(user=author, name=f"{word}-view", query=f"namespace={namespace}")
    audit.record(author, "changed", "environment", place.environment.pk, name=f"{word}-environment")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def number_rows_from(first: int) -> None:
    """Let the next row of each table be `first`."""
    with as_owner() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(quote_ident(table_name), column_name), %s, false)"
            " FROM information_schema.columns WHERE table_schema = 'public' AND is_identity = 'YES'",
            [first],
        )


def planted_rows() -> dict[str, list[Any]]:
    """Return every row out of scope that a request might change."""
    tables = (Alert, AlertActivity, SuppressionRule, SavedView, Environment, Cluster)
    found = {each: each.objects.filter(pk__gte=FOREIGN_ID, pk__lt=NEW_ID).order_by("pk").values() for each in tables}
    rows: dict[str, list[Any]] = {each.__name__: list(values) for each, values in found.items()}
    rows["Sensor"] = list(Sensor.objects.filter(pk=FOREIGN_SENSOR).values())
    return rows


def stranger(name: str = MARKER) -> User:
    """Return a reviewer whose name is out of scope too: only those who see the same alerts see it."""
    user = User.objects.create_user(f"{name}@example.com", f"{name} person", Role.OPERATOR)
    user.is_scoped = True
    user.save()
    return user
