"""A container or a sensor that reports too many new files gets one alert that counts the rest."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, User
from drift.alerts.actions.alert_budgets import delete_old_budgets, release_flood
from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.flood_limits import FIRST, SensorBudgets, SpentBudget
from drift.alerts.models import Alert, AlertBudget, AlertHour, DriftEvent, SuppressionRule
from drift.alerts.queries.occurrences import latest_events
from drift.fleet.models import Sensor
from tests.unit.drift.alerts.conftest import Estate, event, make_estate, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Post = Callable[..., Any]
NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _small_budgets(settings: Any) -> None:
    settings.NEW_ALERTS_PER_CONTAINER = 20
    settings.NEW_ALERTS_PER_SENSOR = 100


def files(amount: int, name: str = "f", container: str = "c" * 64, **changes: Any) -> list[dict[str, Any]]:
    """Events of `amount` new files in one container."""
    return [event(process__path=f"/tmp/{name}{n}", container__id=container, **changes) for n in range(amount)]


def counted() -> int:
    """The executions that all alerts count."""
    return sum(Alert.objects.values_list("pulse__count", flat=True))


def test_a_container_past_its_budget_gets_one_more_alert_which_counts_the_rest(estate: Estate, post: Post) -> None:
    answer = post(estate.client(), *files(50, count=2, mode="summary"))

    assert answer.json() == {"accepted": 50, "duplicates": 0}
    assert Alert.objects.count() == 21
    flood = Alert.objects.get(reason="container_flood")
    assert flood.title == "A container floods alerts with new drift binaries"
    assert (flood.pulse.count, counted(), flood.container_id) == (60, 100, "c" * 64)
    assert sum(AlertHour.objects.filter(alert=flood).values_list("count", flat=True)) == 60


def test_every_event_of_a_flood_is_kept_and_belongs_to_exactly_one_alert(
    estate: Estate, post: Post, django_user_model: type[User]
) -> None:
    post(estate.client(), *files(50))

    assert DriftEvent.objects.count() == 50
    flood = Alert.objects.get(reason="container_flood")
    fingerprints = set(DriftEvent.objects.values_list("fingerprint", flat=True))
    assert fingerprints == set(Alert.objects.values_list("fingerprint", flat=True))
    assert DriftEvent.objects.filter(fingerprint=flood.fingerprint).count() == 30


def test_a_resent_flood_counts_nothing_twice(estate: Estate, post: Post) -> None:
    batch = files(50)

    post(estate.client(), *batch)
    answer = post(estate.client(), *batch)

    assert answer.json() == {"accepted": 0, "duplicates": 50}
    assert (Alert.objects.count(), counted()) == (21, 50)


def test_files_that_have_an_alert_go_on_counting_to_it_during_a_flood(estate: Estate, post: Post) -> None:
    post(estate.client(), *files(50))
    post(estate.client(), *files(5), *files(5, "again"))

    assert Alert.objects.get(path="/tmp/f0", reason="scope").pulse.count == 2
    assert Alert.objects.get(reason="container_flood").pulse.count == 35
    assert Alert.objects.count() == 21


def test_a_sensor_that_invents_containers_opens_no_more_alerts_than_its_budget(estate: Estate, post: Post) -> None:
    for number in range(4):
        batch = [each for n in range(100) for each in files(1, f"{number}-{n}-", f"{number}-{n}")]
        post(estate.client(), *batch)

    assert Alert.objects.count() == 101
    flood = Alert.objects.get(reason="sensor_flood")
    assert (flood.pulse.count, flood.namespace, flood.container_id, flood.pod_name) == (300, "", "", "")
    assert counted() == 400
    assert flood.title == "A sensor floods alerts with new drift binaries"


def test_containers_that_flood_leave_the_first_alerts_of_the_others_on_the_node(estate: Estate, post: Post) -> None:
    post(estate.client(), *[each for n in range(4) for each in files(30, f"{n}-", f"hostile-{n}")])
    post(estate.client(), *files(3, "real", "victim"))

    assert Alert.objects.filter(container_id="victim", reason="scope").count() == 3


def test_one_sensors_flood_spends_nothing_of_another_sensors_budget(estate: Estate, post: Post) -> None:
    post(estate.client(0), *files(300))
    post(estate.client(1), *files(15, "other"))

    assert Alert.objects.filter(sensor=estate.sensors[1]).count() == 15


def test_a_closed_flood_alert_is_followed_by_another_one_only(estate: Estate, post: Post) -> None:
    post(estate.client(), *files(25))
    flood = Alert.objects.get(reason="container_flood")
    Alert.objects.filter(pk=flood.pk).update(
        status="resolved", verdict="true_positive", closed_at=dt.datetime.now(dt.UTC)
    )

    post(estate.client(), *files(10, "later"))

    assert list(
        Alert.objects.filter(reason="container_flood").order_by("pk").values_list("current", "pulse__count")
    ) == [
        (False, 5),
        (True, 10),
    ]


def test_suppressed_alerts_spend_no_budget(estate: Estate, post: Post, django_user_model: type[User]) -> None:
    owner = django_user_model.objects.create(email="a@b.example", name="A", role="owner")
    conditions = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "shop"}]}]
    SuppressionRule.objects.create(name="CI", conditions=conditions, created_by=owner, covers_new_content=True)

    post(estate.client(), *files(60))

    assert set(Alert.objects.values_list("status", "reason")) == {("dismissed", "scope")}
    assert not AlertBudget.objects.filter(opened__gt=0).exists()


def test_batches_of_one_sensor_at_once_open_exactly_its_budget(transactional_db: None, settings: Any) -> None:
    settings.NEW_ALERTS_PER_CONTAINER = 50
    estate = make_estate()
    sensor = Sensor.objects.select_related("cluster__environment").get(pk=estate.sensors[0].pk)
    batches = [raw(*files(20, f"{n}-")) for n in range(8)]
    start = threading.Barrier(len(batches))

    def send(batch: list[bytes]) -> None:
        try:
            start.wait()
            ingest(sensor, batch)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[batch]) for batch in batches]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert Alert.objects.exclude(reason="container_flood").count() == 50
    assert (Alert.objects.get(reason="container_flood").pulse.count, counted()) == (110, 160)


@pytest.fixture
def operator(django_user_model: type[User]) -> Client:
    client = Client()
    client.force_login(django_user_model.objects.create(email="o@b.example", name="Olga", role="operator"))
    return client


def test_an_operator_releases_a_flood_and_new_files_get_alerts_again(
    estate: Estate, post: Post, operator: Client
) -> None:
    post(estate.client(), *files(30))
    flood = Alert.objects.get(reason="container_flood")
    page = operator.get(f"/alerts/{flood.pk}/").content.decode()
    assert "Since" in page
    assert "Open alerts again" in page

    answer = operator.post(f"/alerts/{flood.pk}/release/", follow=True)

    assert answer.status_code == 200
    assert AuditEntry.objects.filter(verb="released the flood limit of", object_id=str(flood.pk)).exists()
    post(estate.client(), *files(5, "after"))
    assert Alert.objects.filter(path__startswith="/tmp/after", reason="scope").count() == 5
    assert "Open alerts again" not in operator.get(f"/alerts/{flood.pk}/").content.decode()


def test_a_release_while_a_batch_of_the_flood_is_being_stored_is_not_undone_by_it(
    transactional_db: None, django_user_model: type[User], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NEW_ALERTS_PER_CONTAINER = 20
    estate = make_estate()
    sensor = Sensor.objects.select_related("cluster__environment").get(pk=estate.sensors[0].pk)
    ingest(sensor, raw(*files(30)))
    flood = Alert.objects.get(reason="container_flood")
    user = django_user_model.objects.create(email="o@b.example", name="Olga", role="operator")
    has_read, released = threading.Event(), threading.Event()

    class SlowBudgets(SensorBudgets):
        def flood(self, container_id: str) -> str | None:
            has_read.set()
            released.wait(1)  # the release cannot finish before this transaction
            return super().flood(container_id)

    monkeypatch.setattr("drift.alerts.actions.alert_budgets.SensorBudgets", SlowBudgets)

    def send() -> None:
        try:
            ingest(sensor, raw(*files(1, "more")))
        finally:
            connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    assert has_read.wait(30)
    assert release_flood(user, flood)
    released.set()
    thread.join()

    assert not AlertBudget.objects.exclude(container_id="").exists()


def test_a_flood_that_is_not_going_on_is_not_released_twice(estate: Estate, post: Post, operator: Client) -> None:
    post(estate.client(), *files(30))
    flood = Alert.objects.get(reason="container_flood")

    for _ in range(2):
        operator.post(f"/alerts/{flood.pk}/release/")

    assert AuditEntry.objects.filter(verb="released the flood limit of").count() == 1


def test_an_alert_that_is_no_flood_has_nothing_to_release(estate: Estate, post: Post, operator: Client) -> None:
    post(estate.client(), event())

    assert operator.post(f"/alerts/{Alert.objects.get().pk}/release/").status_code == 404


def test_the_timeline_of_a_flood_names_its_files(estate: Estate, post: Post, operator: Client) -> None:
    post(estate.client(), *files(25))
    flood = Alert.objects.get(reason="container_flood")

    page = operator.get(f"/alerts/{flood.pk}/?tab=timeline").content.decode()

    paths = {each.binary.path for each in latest_events(User.objects.get(), flood)}
    assert len(paths) == 5
    assert all(path in page for path in paths)


def budgets(**rows: SpentBudget) -> SensorBudgets:
    return SensorBudgets(1_000, 250, NOW, {key.replace("sensor", ""): row for key, row in rows.items()})


def test_a_budget_starts_again_after_an_hour() -> None:
    spent = SpentBudget(250, NOW - dt.timedelta(minutes=60))

    assert budgets(box=spent).flood("box") is None


def test_a_budget_that_is_exceeded_starts_again_only_after_an_hour_without_a_new_file() -> None:
    early, late = NOW - dt.timedelta(hours=5), NOW - dt.timedelta(minutes=59)

    assert budgets(box=SpentBudget(250, early, early, late)).flood("box") == "box"
    assert budgets(box=SpentBudget(250, early, early, NOW - dt.timedelta(hours=1))).flood("box") is None


def test_the_second_half_of_a_sensors_budget_is_for_the_first_alerts_of_each_container() -> None:
    at_half = SpentBudget(500, NOW)

    assert budgets(sensor=at_half, box=SpentBudget(FIRST, NOW)).flood("box") == ""
    assert budgets(sensor=at_half, box=SpentBudget(FIRST - 1, NOW)).flood("box") is None
    assert budgets(sensor=at_half).flood("") == ""
    assert budgets(sensor=SpentBudget(1_000, NOW)).flood("new") == ""


def test_old_budgets_are_deleted_but_not_those_of_a_flood_that_goes_on(estate: Estate) -> None:
    now = dt.datetime.now(dt.UTC)
    old = now - dt.timedelta(hours=3)
    rows = {"done": (old, None), "over": (old, old), "on": (old, now), "new": (now, None)}
    for key, (window, excess) in rows.items():
        AlertBudget.objects.create(
            sensor=estate.sensors[0],
            container_id=key,
            opened=1,
            window_at=window,
            flooding_since=excess and old,
            excess_at=excess,
        )

    assert delete_old_budgets() == 2
    assert set(AlertBudget.objects.values_list("container_id", flat=True)) == {"on", "new"}
