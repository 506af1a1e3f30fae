"""Environment settings, as each role sees them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from accounts.models import AuditEntry
from drift.fleet.models import Environment, FleetState
from tests.unit.fleet import estate

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
    assert "offline" not in page


def test_the_card_of_the_drift_policy_leads_to_it(reading: Any) -> None:
    page = estate.text_of(reading.get(SETTINGS))

    assert 'href="/settings/policy/"' in page
    assert "Set your scope and conditions for applying drift detection" in page


def test_an_empty_estate_says_what_to_do(reading: Any) -> None:
    assert "No environments yet" in estate.text_of(reading.get(SETTINGS))


def test_a_search_without_a_hit_says_so_and_one_by_cluster_finds_its_environment(reading: Any) -> None:
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


def test_the_page_takes_the_same_queries_however_large_the_estate(
    reading: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        cluster = estate.cluster(estate.environment("aws", str(number)))
        estate.sensor(cluster)

    with django_assert_max_num_queries(5):  # session, user, environments, clusters, state
        reading.get(SETTINGS)


def test_the_tree_answers_304_while_nothing_changed(managing: Any) -> None:
    env = estate.environment()
    first = managing.get(SETTINGS, headers=HTMX)

    again = managing.get(SETTINGS, headers={**HTMX, "If-None-Match": first["ETag"]})
    Environment.objects.filter(pk=env.pk).update(name="Renamed")
    after = managing.get(SETTINGS, headers={**HTMX, "If-None-Match": first["ETag"]})

    assert (first.status_code, again.status_code, after.status_code) == (200, 304, 200)
    assert b"<html" not in first.content


def test_an_administrator_adds_renames_retires_and_restores_an_environment(managing: Any) -> None:
    added = {"provider": "aws", "account": "123456789012", "name": "Payments"}
    assert managing.post(f"{SETTINGS}add/", added).status_code == 302
    env = Environment.objects.get()

    managing.post(f"{SETTINGS}{env.pk}/change/", {"name": "Paying"})
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
    assert b"is in Driftwatch already" in answer.content
    assert Environment.objects.count() == 1


def test_a_panel_is_a_part_for_htmx_and_a_page_without_it(managing: Any) -> None:
    part = managing.get(f"{SETTINGS}add/", {"provider": "gcp"}, headers=HTMX)
    page = managing.get(f"{SETTINGS}add/", {"provider": "gcp"})

    assert part.content.strip().startswith(b"<dialog")
    assert b"<html" in page.content
    assert b"<dialog" in page.content
    assert b'value="gcp" selected' in part.content


def test_retiring_asks_first_and_names_the_rules_that_name_it(managing: Any) -> None:
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


def test_the_switch_turns_the_sensor_off_and_on_and_says_so(managing: Any) -> None:
    env = estate.environment()

    off = managing.post(f"{SETTINGS}{env.pk}/switch/", {"on": "0"}, headers=HTMX)
    env.refresh_from_db()
    assert (env.sensor_enabled, "Defender sensor off" in estate.text_of(off)) == (False, True)

    managing.post(f"{SETTINGS}{env.pk}/switch/", {"on": "1"})
    env.refresh_from_db()
    assert env.sensor_enabled is True


def test_stopping_all_blocking_asks_shows_and_can_be_undone(managing: Any) -> None:
    assert "Stop all blocking?" in estate.text_of(managing.get("/settings/blocking/"))
    assert FleetState.objects.get().blocking_stopped is False

    managing.post("/settings/blocking/", {"do": "stop"})
    assert "All blocking has been stopped since" in estate.text_of(managing.get(SETTINGS))

    managing.post("/settings/blocking/", {"do": "resume"})
    assert FleetState.objects.get().blocking_stopped is False
