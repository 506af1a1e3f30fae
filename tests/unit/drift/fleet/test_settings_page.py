"""Environment settings, as each role sees them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from drift.fleet.forms import estate_filters
from drift.fleet.models import Cluster, Environment, FleetState, SensorStatus
from drift.fleet.queries import estate_tree
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

SETTINGS = "/settings/environments/"
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_the_page_shows_every_cloud_environment_and_cluster(reading: Any) -> None:
    cluster = estate.cluster(estate.environment("azure", "sub-1", name="Production"), "aks-1")
    sensor, _ = estate.sensor(cluster, applied_number=1)
    estate.seen(sensor)
    estate.environment("gcp", "project-7", name="Learning")

    page = estate.text_of(reading.get(SETTINGS))

    for expected in ("Showing 1 subscription, 1 project", "Production", "sub-1", "aks-1", "v1.31.2", "Learning", "v1"):
        assert expected in page
    assert "1 offline" not in page


def test_the_drift_policy_card_links_to_the_policy(reading: Any) -> None:
    page = estate.text_of(reading.get(SETTINGS))

    assert 'href="/settings/policy/"' in page
    assert "Set your scope and conditions for applying drift detection" in page


def test_an_empty_estate_explains_the_first_step(reading: Any) -> None:
    assert "No environments yet" in estate.text_of(reading.get(SETTINGS))


def test_a_search_without_results_shows_that_and_a_cluster_s_name_finds_its_environment(reading: Any) -> None:
    estate.cluster(estate.environment(name="Production"), "aks-1")

    assert "Nothing found" in estate.text_of(reading.get(SETTINGS, {"q": "eks"}))
    assert "Production" in estate.text_of(reading.get(SETTINGS, {"q": "AKS-1"}))


def test_sensors_that_missed_their_heartbeats_are_counted_as_offline(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    estate.seen(sensor, dt.timedelta(minutes=4))

    assert "1 offline" in estate.text_of(reading.get(SETTINGS))


def test_a_reader_is_offered_nothing_that_changes_anything(reading: Any) -> None:
    estate.sensor(estate.cluster())

    page = estate.text_of(reading.get(SETTINGS))

    for absent in ("Add environment", "Stop all blocking", 'role="switch"', "Retire", "Sensor onboarding"):
        assert absent not in page


@pytest.mark.parametrize("environments", [3, 60])
def test_the_page_takes_the_same_queries_however_large_the_estate(
    reading: Any, django_assert_num_queries: Any, environments: int
) -> None:
    clusters = [estate.cluster(estate.environment("aws", str(number))) for number in range(environments)]
    for cluster in clusters:
        estate.seen(estate.sensor(cluster)[0])
    opened = {"open": [row.environment_id for row in clusters], "cluster": [row.pk for row in clusters]}

    with django_assert_num_queries(7):  # counts, environments, sensors, clusters; what is off; the switch, known to all
        reading.get(SETTINGS, {"open": ""})
    with django_assert_num_queries(10):  # and the clusters, their coverage, and sensors
        page = estate.text_of(reading.get(SETTINGS, opened))

    assert page.count(">node-1</a>") == environments


def test_a_large_estate_shows_the_first_hundred_of_each_cloud_all_closed(reading: Any) -> None:
    large_estate(299)
    estate.environment("gcp", "project-7")

    page = estate.text_of(reading.get(SETTINGS))
    more = estate.text_of(reading.get(SETTINGS, {"shown": "200"}))
    whole = estate.text_of(reading.get(SETTINGS, {"shown": "300"}))

    assert "Showing 299 accounts, 1 project" in page
    assert page.count('class="environment"') == 101
    assert 'class="cluster"' not in page
    assert 'name="shown" value="200">Show more accounts</button> <span class="soft">100 of 299 are shown' in page
    assert "Show more projects" not in page
    assert more.count('class="environment"') == 201
    assert whole.count('class="environment"') == 300
    assert "All accounts are shown" in whole


def test_a_page_that_would_show_everything_suggests_to_search(reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estate_filters, "MAX_SHOWN", 120)
    monkeypatch.setattr(estate_tree, "MAX_SHOWN", 120)
    large_estate(130)

    page = estate.text_of(reading.get(SETTINGS, {"shown": "99999"}))

    assert page.count('class="environment"') == 120
    assert "120 of 130 are shown: search or filter for the others" in page


def test_a_twisty_opens_and_closes_one_environment_and_one_cluster(reading: Any) -> None:
    cluster = estate.cluster(estate.environment(name="Production"), "aks-1")
    row, _ = estate.sensor(cluster, "node-1", desired_version_id=1, applied_number=None)
    estate.seen(row, backend="ebpf")
    env = f"environment-{cluster.environment_id}"

    closed = estate.text_of(reading.get(SETTINGS, {"open": ""}))
    opened = estate.text_of(reading.get(SETTINGS, {"open": "", "toggle": env}))
    inside = estate.text_of(reading.get(SETTINGS, {"open": cluster.environment_id, "toggle": f"cluster-{cluster.pk}"}))
    again = estate.text_of(
        reading.get(SETTINGS, {"open": cluster.environment_id, "cluster": cluster.pk, "toggle": env})
    )

    assert "aks-1" not in closed
    assert "aks-1" in opened
    assert "node-1" not in opened
    for expected in ("node-1", ">Live<", "ebpf", "desired v1", "1 lagging"):
        assert expected in inside
    assert f'name="cluster" value="{cluster.pk}"' in inside
    assert "aks-1" not in again


def test_an_open_cluster_lists_its_first_sensors_and_links_to_all(
    reading: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estate_tree, "SENSORS", 2)
    cluster = estate.cluster()
    estate.fleet_of(cluster, estate.token(cluster.environment)[0], 3)
    estate.sensor(cluster, "node-00", state="revoked", ended_at=timezone.now())

    page = estate.text_of(reading.get(SETTINGS, {"open": cluster.environment_id, "cluster": cluster.pk}))

    assert [f"node-{number}</a>" in page for number in ("0", "1", "2", "00")] == [True, True, False, False]
    assert f'<a href="/clusters/{cluster.pk}/">All 3 sensors' in page


def test_clusters_that_match_the_search_come_first(reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estate_tree, "CLUSTERS", 2)
    env = estate.environment(name="Production")
    for name in ("aks-1", "aks-2", "shop"):
        estate.cluster(env, name)

    every = estate.text_of(reading.get(SETTINGS))
    found = estate.text_of(reading.get(SETTINGS, {"q": "shop"}))

    assert "2 of 3 clusters of Production are shown" in every
    assert ("shop</a>" in every, "shop</a>" in found) == (False, True)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({"only": "offline"}, ["Dark"]),
        ({"only": "lagging"}, ["Slow"]),
        ({"only": "off"}, ["Silent"]),
        ({"only": "empty"}, ["Bare", "Silent"]),
        ({"cloud": "gcp"}, ["Bare"]),
        ({"cloud": "aws", "only": "empty"}, ["Silent"]),
        ({"only": "nonsense", "cloud": "ibm"}, ["Bare", "Dark", "Fine", "Silent", "Slow"]),
    ],
)
def test_filters_keep_the_environments_that_need_attention(
    reading: Any, only: dict[str, str], expected: list[str]
) -> None:
    for name, ago, applied in (("Fine", 0, 1), ("Dark", 4, 1), ("Slow", 0, None)):
        row, _ = estate.sensor(estate.cluster(estate.environment("aws", name, name=name)), applied_number=applied)
        estate.seen(row, dt.timedelta(minutes=ago))
    estate.environment("aws", "5", name="Silent", sensor_enabled=False)
    estate.cluster(estate.environment("gcp", "6", name="Bare"))

    page = estate.text_of(reading.get(SETTINGS, only))

    assert [name for name in ("Bare", "Dark", "Fine", "Silent", "Slow") if f"{name}<code" in page] == expected


def test_a_filter_links_to_its_clusters_and_sensors(reading: Any) -> None:
    env = estate.environment()
    busy, quiet, bare = (estate.cluster(env, name) for name in ("busy", "quiet", "bare"))
    token = estate.token(env)[0]
    estate.seen(estate.sensor(busy, "node-up", token)[0])
    estate.seen(estate.sensor(busy, "node-down", token)[0], dt.timedelta(minutes=4))
    estate.seen(estate.sensor(quiet, "node-quiet", token)[0])
    opened = {"open": env.pk, "cluster": [busy.pk, quiet.pk, bare.pk]}

    dark = estate.text_of(reading.get(SETTINGS, {"only": "offline", **opened}))
    empty = estate.text_of(reading.get(SETTINGS, {"only": "empty", **opened}))

    assert [name in dark for name in ("busy</a>", "node-down", "node-up", "quiet</a>", "bare</a>")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [name in empty for name in ("busy</a>", "quiet</a>", "bare</a>")] == [False, False, True]


def test_invalid_or_too_large_ids_open_nothing(reading: Any) -> None:
    estate.cluster(estate.environment())
    odd = {
        "open": ["x", "-1", "9" * 40, "\u0663"],
        "cluster": "1e3",
        "toggle": "environment-x",
        "shown": "-5",
        "q": "\0",
    }

    page = estate.text_of(reading.get(SETTINGS, odd))

    assert page.count('class="environment"') == 1
    assert 'class="cluster"' not in page


def test_the_switch_keeps_the_tree_s_open_branches(managing: Any) -> None:
    cluster = estate.cluster(estate.environment(), "aks-1")
    other = estate.environment("aws", "1", name="Payments")
    state = {"q": "aks", "open": cluster.environment_id, "shown": "100"}

    page = managing.post(f"{SETTINGS}{cluster.environment_id}/switch/", {"on": "0", **state}, headers=HTMX)

    assert "aks-1" in estate.text_of(page)
    assert other.name not in estate.text_of(page)


def large_estate(count: int) -> None:
    """AWS accounts with one cluster each."""
    rows = [Environment(provider="aws", account=f"{number:012}", name=f"Account {number}") for number in range(count)]
    made = Environment.objects.bulk_create(rows)
    Cluster.objects.bulk_create(
        Cluster(environment=row, name="prod", distribution="eks", kubernetes_version="v1.31.2") for row in made
    )


def test_the_tree_answers_304_while_nothing_changed(managing: Any) -> None:
    env = estate.environment()
    first = managing.get(SETTINGS, headers=HTMX)

    again = managing.get(SETTINGS, headers={**HTMX, "If-None-Match": first["ETag"]})
    Environment.objects.filter(pk=env.pk).update(name="Renamed")
    after = managing.get(SETTINGS, headers={**HTMX, "If-None-Match": first["ETag"]})

    assert (first.status_code, again.status_code, after.status_code) == (200, 304, 200)
    assert b"<html" not in first.content


def test_heartbeats_change_the_tree_once_a_minute(cluster: Cluster, managing: Any) -> None:
    minute = timezone.now().replace(second=0, microsecond=0) - dt.timedelta(minutes=1)
    sensor, _ = estate.sensor(cluster, applied_number=1)
    estate.seen(sensor)

    def response(second: int, etag: str = '"none"') -> Any:
        SensorStatus.objects.update(last_seen_at=minute + dt.timedelta(seconds=second))
        return managing.get(SETTINGS, headers={**HTMX, "If-None-Match": etag})

    first = response(5)
    assert [response(second, first["ETag"]).status_code for second in (15, 59, 60)] == [304, 304, 200]


def test_an_administrator_adds_renames_retires_and_restores_an_environment(managing: Any) -> None:
    added = {"provider": "aws", "account": "123456789012", "name": "Payments"}
    assert managing.post(f"{SETTINGS}add/", added).status_code == 302
    env = Environment.objects.get()

    managing.post(f"{SETTINGS}{env.pk}/change/", {"name": "Paying", "exec_history": "on"})
    managing.post(f"{SETTINGS}{env.pk}/retire/")
    assert "Paying" not in estate.text_of(managing.get(SETTINGS)).split('id="estate"')[1]
    assert "Paying" in estate.text_of(managing.get(SETTINGS, {"retired": "1"}))
    managing.post(f"{SETTINGS}{env.pk}/restore/")

    assert "Paying" in estate.text_of(managing.get(SETTINGS))
    verbs = AuditEntry.objects.filter(object_type="environment").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["added", "renamed", "retired", "restored"]


def test_an_account_is_added_once(managing: Any) -> None:
    estate.environment("aws", "1")

    answer = managing.post(f"{SETTINGS}add/", {"provider": "aws", "account": "1", "name": "Again"})

    assert answer.status_code == 422
    assert b"has already been added" in answer.content
    assert Environment.objects.count() == 1


def test_a_refused_environment_counts_as_typed_so_that_leaving_it_asks_first(managing: Any) -> None:
    env = estate.environment("aws", "1")
    change = f"{SETTINGS}{env.pk}/change/"
    refused = [
        managing.post(f"{SETTINGS}add/", {"provider": "aws", "account": "1", "name": "Again"}),
        managing.post(f"{SETTINGS}add/", {"provider": "aws", "account": "2"}),
        managing.post(change, {"name": "Pay\u202ements"}),
    ]
    opened = [managing.get(f"{SETTINGS}add/"), managing.get(change)]

    assert [(each.status_code, b" data-typed>" in each.content) for each in refused] == [(422, True)] * 3
    assert not any(b" data-typed" in each.content for each in opened)


def test_a_panel_is_a_fragment_for_htmx_and_a_page_without_it(managing: Any) -> None:
    part = managing.get(f"{SETTINGS}add/", {"provider": "gcp"}, headers=HTMX)
    page = managing.get(f"{SETTINGS}add/", {"provider": "gcp"})

    assert part.content.strip().startswith(b"<dialog")
    assert b"<html" in page.content
    assert b"<dialog" in page.content
    assert b'value="gcp" selected' in part.content


def test_retiring_needs_confirmation_and_lists_the_rules_that_name_the_environment(managing: Any) -> None:
    env = estate.environment("aws", "123456789012")
    rule = {
        "id": "6f0c2b1e-0000-4000-8000-000000000001",
        "name": "Payments only",
        "action": "alert",
        "scope_description": "x",
        "cloud_scope": [{"provider": "aws", "accounts": ["123456789012"]}],
        "resource_scope": [],
        "allow_list": [],
    }
    estate.version(2, rules=[rule])

    assert "Payments only" in estate.text_of(managing.get(f"{SETTINGS}{env.pk}/retire/"))
    env.refresh_from_db()
    assert env.retired_at is None


def test_the_switch_turns_the_sensor_off_and_on_with_a_confirmation(managing: Any) -> None:
    env = estate.environment()

    off = managing.post(f"{SETTINGS}{env.pk}/switch/", {"on": "0"}, headers=HTMX)
    env.refresh_from_db()
    assert (env.sensor_enabled, "Sensor off" in estate.text_of(off)) == (False, True)
    toast = estate.text_of(off).partition('class="toast"')[2].partition("</div>")[0]
    assert f"{SETTINGS}{env.pk}/switch/" in toast

    managing.post(f"{SETTINGS}{env.pk}/switch/", {"on": "1"})
    env.refresh_from_db()
    assert env.sensor_enabled is True


def test_stopping_all_blocking_needs_confirmation_is_shown_and_can_be_undone(managing: Any) -> None:
    assert "Stop all blocking?" in estate.text_of(managing.get("/settings/blocking/"))
    assert FleetState.objects.get().blocking_stopped is False

    managing.post("/settings/blocking/", {"do": "stop"})
    assert "All blocking has been stopped since" in estate.text_of(managing.get(SETTINGS))

    managing.post("/settings/blocking/", {"do": "resume"})
    assert FleetState.objects.get().blocking_stopped is False
