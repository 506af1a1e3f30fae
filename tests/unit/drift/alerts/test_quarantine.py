"""The alerts of a sensor in quarantine are set aside, and come back when it is lifted."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, User
from drift.alerts.actions.fold_tallies import fold_tallies
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.raise_alerts import raise_alerts
from drift.alerts.actions.set_aside import settle_quarantines
from drift.alerts.domain.filters import Filters
from drift.alerts.models import (
    ActivityKind,
    Alert,
    AlertActivity,
    AlertTotal,
    Dimension,
    DriftEvent,
    OpenedByHour,
    RuleHits,
    Sighting,
    Status,
)
from drift.alerts.queries import alert_groups
from drift.fleet.actions.quarantine import lift_quarantine, quarantine_sensor
from drift.fleet.actions.sensors import revoke_sensor
from drift.fleet.models import Sensor
from drift.fleet.models.sensors import NEVER
from drift.notify.models import PendingNotice
from tests.unit.drift.alerts.conftest import Estate, event, make_estate, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Post = Callable[..., Any]


@pytest.fixture
def admin(django_user_model: type[User]) -> User:
    made: User = django_user_model.objects.create(email="a@b.example", name="Ada", role="admin")
    return made


@pytest.fixture
def web(admin: User) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def files(amount: int, name: str = "f") -> list[dict[str, Any]]:
    return [event(process__path=f"/tmp/{name}{n}") for n in range(amount)]


def quarantine(admin: User, sensor: Sensor, since: dt.datetime | None = NEVER) -> None:
    assert quarantine_sensor(admin, sensor, since)
    settle_quarantines()


def lift(admin: User, sensor: Sensor) -> None:
    assert lift_quarantine(admin, sensor)
    settle_quarantines()


def total(dimension: Dimension = Dimension.NAMESPACE) -> int:
    return sum(AlertTotal.objects.filter(dimension=dimension).values_list("count", flat=True))


def opened() -> int:
    return sum(OpenedByHour.objects.values_list("count", flat=True))


def listed(web: Client, query: str = "") -> list[str]:
    return sorted(each["event"]["process"]["path"] for each in web.get(f"/api/v1/alerts/?{query}").json()["alerts"])


def test_its_alerts_leave_lists_counts_and_charts_and_the_others_stay(
    estate: Estate, post: Post, admin: User, web: Client
) -> None:
    post(estate.client(0), *files(3, "stolen"))
    post(estate.client(1), *files(2, "honest"))
    fold_tallies()

    quarantine(admin, estate.sensors[0])

    assert listed(web) == ["/tmp/honest0", "/tmp/honest1"]
    assert (total(), opened()) == (2, 2)
    fold_tallies()
    assert (total(), opened()) == (2, 2)
    page = web.get("/alerts/").content.decode()
    assert "/tmp/honest0" in page
    assert "/tmp/stolen0" not in page
    assert "/tmp/stolen" not in b"".join(web.get("/alerts/export.csv?status=any").streaming_content).decode()  # type: ignore[attr-defined]
    for name in alert_groups.GROUPINGS:
        for status in ((), ("any",)):
            filters = Filters(values={"status": status} if status else {})
            groups = alert_groups.group_page(admin, filters, name).rows
            assert sum(group.count for group in groups) == 2, name


def test_what_is_set_aside_is_shown_by_the_filter_and_says_why(
    estate: Estate, post: Post, admin: User, web: Client
) -> None:
    post(estate.client(0), *files(2, "stolen"))
    quarantine(admin, estate.sensors[0])

    assert listed(web, "aside=yes") == ["/tmp/stolen0", "/tmp/stolen1"]
    pk = Alert.objects.order_by("pk")[0].pk
    page = web.get(f"/alerts/{pk}/").content.decode()
    assert "is in quarantine" in page
    assert "reported this while" not in page


def test_lifting_the_quarantine_brings_everything_back_as_it_was(
    estate: Estate, post: Post, admin: User, web: Client
) -> None:
    post(estate.client(0), *files(3))
    before = [*Alert.objects.order_by("pk").values("pk", "status", "verdict", "current", "closed_at", "fingerprint")]

    quarantine(admin, estate.sensors[0])
    lift(admin, estate.sensors[0])

    after = [*Alert.objects.order_by("pk").values("pk", "status", "verdict", "current", "closed_at", "fingerprint")]
    assert after == before
    assert (total(), opened()) == (3, 3)
    kinds = [*AlertActivity.objects.filter(alert=before[0]["pk"]).order_by("pk").values_list("kind", flat=True)]
    assert kinds == [ActivityKind.OPENED, ActivityKind.SET_ASIDE, ActivityKind.RESTORED]
    post(estate.client(0), *files(3))
    assert Alert.objects.count() == 3


def test_what_it_sends_in_quarantine_is_kept_and_marked_but_alerts_nobody(
    estate: Estate, post: Post, admin: User, web: Client
) -> None:
    quarantine(admin, estate.sensors[0], None)

    for _ in range(2):
        assert post(estate.client(0), *files(3, "lie")).status_code == 200

    assert DriftEvent.objects.count() == 6
    assert listed(web) == []
    assert (total(), PendingNotice.objects.count(), RuleHits.objects.count(), Sighting.objects.count()) == (0, 0, 0, 0)
    alerts = Alert.objects.filter(set_aside_at__isnull=False, incident=None)
    assert [alert.pulse.count for alert in alerts] == [2, 2, 2]
    assert "reported this while in quarantine" in web.get(f"/alerts/{alerts[0].pk}/").content.decode()

    lift(admin, estate.sensors[0])

    assert listed(web) == ["/tmp/lie0", "/tmp/lie1", "/tmp/lie2"]


def test_other_sensors_get_alerts_of_their_own_for_what_a_quarantined_one_claimed_first(
    estate: Estate, post: Post, admin: User
) -> None:
    post(estate.client(0), *files(1))
    quarantine(admin, estate.sensors[0])

    post(estate.client(1), *files(1))
    post(estate.client(0), *files(1))

    assert [*Alert.objects.order_by("pk").values_list("sensor__node", "current", "pulse__count")] == [
        ("n1", False, 2),
        ("n2", True, 1),
    ]
    lift(admin, estate.sensors[0])
    claimed, honest = Alert.objects.order_by("pk")
    assert (claimed.status, claimed.verdict, claimed.current) == ("dismissed", "duplicate", False)
    assert (honest.status, honest.current) == ("active", True)


def test_an_alert_that_an_honest_sensor_reported_too_is_not_hidden(
    estate: Estate, post: Post, admin: User, web: Client
) -> None:
    post(estate.client(0), *files(1))
    post(estate.client(1), *files(1))

    quarantine(admin, estate.sensors[0])

    assert listed(web) == ["/tmp/f0"]


def test_only_alerts_since_the_chosen_time_are_set_aside(estate: Estate, post: Post, admin: User, web: Client) -> None:
    post(estate.client(0), *files(1, "old"))
    Alert.objects.update(created_at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=3))
    post(estate.client(0), *files(1, "new"))

    quarantine(admin, estate.sensors[0], dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))

    assert listed(web) == ["/tmp/old0"]


def test_a_revoked_sensor_is_cleaned_up_after(estate: Estate, post: Post, web: Client, admin: User) -> None:
    post(estate.client(0), *files(2))
    revoke_sensor(admin, estate.sensors[0])

    answer = web.post(f"/sensors/{estate.sensors[0].pk}/quarantine/", {"do": "quarantine", "since": "all"})
    settle_quarantines()

    assert answer.status_code == 302
    assert listed(web) == []


def test_revoking_offers_to_set_its_alerts_aside(estate: Estate, post: Post, web: Client) -> None:
    post(estate.client(0), *files(2))
    url = f"/sensors/{estate.sensors[0].pk}/revoke/"
    assert "Of the last 24 hours" in web.get(url).content.decode()

    web.post(url, {"since": "day"})
    settle_quarantines()

    row = Sensor.objects.get(pk=estate.sensors[0].pk)
    assert (row.state, row.quarantined_at is not None) == ("revoked", True)
    assert listed(web) == []


def test_revoking_without_clean_up_leaves_its_alerts(estate: Estate, post: Post, web: Client) -> None:
    post(estate.client(0), *files(2))

    web.post(f"/sensors/{estate.sensors[0].pk}/revoke/", {"since": ""})
    settle_quarantines()

    assert len(listed(web)) == 2


def test_both_switches_are_audited_and_do_nothing_twice(estate: Estate, web: Client) -> None:
    url = f"/sensors/{estate.sensors[0].pk}/quarantine/"

    for do in ("quarantine", "quarantine", "lift", "lift"):
        web.post(url, {"do": do})

    verbs = AuditEntry.objects.filter(object_type="sensor").order_by("pk").values_list("verb", flat=True)
    assert [*verbs] == ["put in quarantine", "lifted the quarantine of"]


def test_the_api_quarantines_and_lifts(estate: Estate, web: Client) -> None:
    url = f"/api/v1/sensors/{estate.sensors[0].pk}/quarantine/"

    made = web.put(url, {"since": "2026-01-01T00:00:00Z"}, content_type="application/json")
    lifted = web.delete(url)

    assert (made.status_code, made.json()["set_aside_since"]) == (200, "2026-01-01T00:00:00Z")
    assert (lifted.status_code, lifted.json()["quarantined_at"]) == (200, None)


def test_nobody_triages_an_alert_that_is_set_aside(estate: Estate, post: Post, admin: User, web: Client) -> None:
    post(estate.client(0), *files(1))
    quarantine(admin, estate.sensors[0])
    alert = Alert.objects.get()

    answer = web.post(
        "/api/v1/alerts/status/",
        {"alerts": {str(alert.pk): alert.revision}, "status": "in_progress"},
        content_type="application/json",
    )

    assert answer.status_code in (404, 409)
    assert Alert.objects.get().status == Status.ACTIVE


def test_settling_twice_changes_nothing_more(estate: Estate, post: Post, admin: User) -> None:
    post(estate.client(0), *files(3))
    assert quarantine_sensor(admin, estate.sensors[0], NEVER)

    assert [settle_quarantines(), settle_quarantines()] == [3, 0]
    assert lift_quarantine(admin, estate.sensors[0])
    assert [settle_quarantines(), settle_quarantines()] == [3, 0]


def test_dismissed_alerts_are_set_aside_too_and_return_with_their_resolution(
    estate: Estate, post: Post, admin: User, web: Client
) -> None:
    post(estate.client(0), *files(1))
    now = dt.datetime.now(dt.UTC)
    Alert.objects.update(status="dismissed", verdict="expected", closed_at=now, quiet_until=now + dt.timedelta(days=7))

    quarantine(admin, estate.sensors[0])
    assert listed(web, "status=any") == []
    post(estate.client(1), *files(1))
    assert listed(web) == ["/tmp/f0"]

    lift(admin, estate.sensors[0])
    first = Alert.objects.order_by("pk")[0]
    assert (first.status, first.verdict, first.current, first.set_aside_at) == ("dismissed", "expected", False, None)


def test_a_batch_that_is_being_stored_while_its_sensor_is_quarantined_opens_no_visible_alert(
    transactional_db: None, django_user_model: type[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = django_user_model.objects.create(email="a@b.example", name="Ada", role="admin")
    estate = make_estate()
    sensor = Sensor.objects.select_related("cluster__environment").get(pk=estate.sensors[0].pk)
    stored, quarantined = threading.Event(), threading.Event()
    real = raise_alerts

    def late(*args: Any) -> None:
        stored.set()
        assert quarantined.wait(30)
        real(*args)

    monkeypatch.setattr("drift.alerts.actions.ingest.raise_alerts", late)

    def send() -> None:
        try:
            ingest(sensor, raw(*files(2)))
        finally:
            connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    assert stored.wait(30)
    assert quarantine_sensor(admin, sensor)
    settle_quarantines()
    quarantined.set()
    thread.join()

    assert Alert.objects.count() == 2
    assert not Alert.objects.visible_to(admin).exists()
    assert DriftEvent.objects.count() == 2


def test_a_quarantine_waits_for_the_alerts_that_a_batch_is_opening(
    transactional_db: None, django_user_model: type[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = django_user_model.objects.create(email="a@b.example", name="Ada", role="admin")
    estate = make_estate()
    sensor = Sensor.objects.select_related("cluster__environment").get(pk=estate.sensors[0].pk)
    opened_now, done = threading.Event(), threading.Event()
    real = raise_alerts

    def slow(*args: Any) -> None:
        real(*args)
        opened_now.set()
        assert not done.wait(1)  # the quarantine cannot finish before this transaction

    monkeypatch.setattr("drift.alerts.actions.ingest.raise_alerts", slow)

    def send() -> None:
        try:
            ingest(sensor, raw(*files(2)))
        finally:
            connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    assert opened_now.wait(30)
    assert quarantine_sensor(admin, sensor, NEVER)
    done.set()
    thread.join()
    settle_quarantines()

    assert not Alert.objects.visible_to(admin).exists()


def test_alerts_are_filtered_by_sensor(estate: Estate, post: Post, web: Client) -> None:
    post(estate.client(0), *files(1, "one"))
    post(estate.client(1), *files(1, "two"))

    assert listed(web, f"sensor={estate.sensors[1].pk}") == ["/tmp/two0"]
    assert web.get("/api/v1/alerts/?sensor=nonsense").status_code == 400
    assert len(listed(web, f"sensor={estate.sensors[1].pk}&sensor={estate.sensors[0].pk}")) == 2
    page = web.get(f"/alerts/?sensor={estate.sensors[1].pk}").content.decode()
    assert "n2 (blue)" in page
    assert f"sensor={estate.sensors[1].pk}" in page
