"""The fleet's pages, as each role sees them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from drift.fleet.actions import rollouts
from drift.fleet.models import (
    Cluster,
    Delivery,
    DeliveryState,
    EnrolmentToken,
    Environment,
    FleetState,
    Sensor,
    SensorState,
    SensorStatus,
)
from tests.unit.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

SETTINGS = "/settings/environments/"
LINE = "/settings/delivery-line/"
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def reading(reader: Any, client_of: Any) -> Any:
    return client_of(reader)


@pytest.fixture
def managing(admin: Any, client_of: Any) -> Any:
    return client_of(admin)


def seen(sensor: Sensor, ago: dt.timedelta = dt.timedelta(0), **fields: Any) -> None:
    SensorStatus.objects.create(sensor=sensor, last_seen_at=timezone.now() - ago, **fields)


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content[:300]
    return " ".join(answer.content.decode().split())


def test_the_page_shows_every_cloud_environment_and_cluster(reading: Any) -> None:
    cluster = estate.cluster(estate.environment("azure", "sub-1", name="Production"), "aks-1")
    sensor, _ = estate.sensor(cluster, applied_number=1)
    seen(sensor)
    estate.environment("gcp", "project-7", name="Learning")

    page = text_of(reading.get(SETTINGS))

    for expected in ("Showing 1 subscription, 1 project", "Production", "sub-1", "aks-1", "v1.31.2", "Learning", "v1"):
        assert expected in page
    assert "offline" not in page


def test_the_card_of_the_drift_policy_leads_to_it(reading: Any) -> None:
    page = text_of(reading.get(SETTINGS))

    assert 'href="/settings/policy/"' in page
    assert "Set your scope and conditions for applying drift detection" in page


def test_an_empty_estate_says_what_to_do(reading: Any) -> None:
    assert "No environments yet" in text_of(reading.get(SETTINGS))


def test_a_search_without_a_hit_says_so_and_one_by_cluster_finds_its_environment(reading: Any) -> None:
    estate.cluster(estate.environment(name="Production"), "aks-1")

    assert "Nothing found" in text_of(reading.get(SETTINGS, {"q": "eks"}))
    assert "Production" in text_of(reading.get(SETTINGS, {"q": "AKS-1"}))


def test_sensors_that_missed_their_heartbeats_are_counted_as_offline(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    seen(sensor, dt.timedelta(minutes=4))

    assert "1 offline" in text_of(reading.get(SETTINGS))


def test_a_reader_is_offered_nothing_that_changes_anything(reading: Any) -> None:
    estate.sensor(estate.cluster())

    page = text_of(reading.get(SETTINGS))

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

    managing.post(f"{SETTINGS}{env.pk}/rename/", {"name": "Paying"})
    managing.post(f"{SETTINGS}{env.pk}/retire/")
    assert "Paying" not in text_of(managing.get(SETTINGS)).split('id="estate"')[1]
    assert "Paying" in text_of(managing.get(SETTINGS, {"retired": "1"}))
    managing.post(f"{SETTINGS}{env.pk}/restore/")

    assert "Paying" in text_of(managing.get(SETTINGS))
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

    assert "Payments only" in text_of(managing.get(f"{SETTINGS}{env.pk}/retire/"))
    env.refresh_from_db()
    assert env.retired_at is None


def test_the_switch_turns_the_sensor_off_and_on_and_says_so(managing: Any) -> None:
    env = estate.environment()

    off = managing.post(f"{SETTINGS}{env.pk}/switch/", {"on": "0"}, headers=HTMX)
    env.refresh_from_db()
    assert (env.sensor_enabled, "Defender sensor off" in text_of(off)) == (False, True)

    managing.post(f"{SETTINGS}{env.pk}/switch/", {"on": "1"})
    env.refresh_from_db()
    assert env.sensor_enabled is True


def test_stopping_all_blocking_asks_shows_and_can_be_undone(managing: Any) -> None:
    assert "Stop all blocking?" in text_of(managing.get("/settings/blocking/"))
    assert FleetState.objects.get().blocking_stopped is False

    managing.post("/settings/blocking/", {"do": "stop"})
    assert "All blocking has been stopped since" in text_of(managing.get(SETTINGS))

    managing.post("/settings/blocking/", {"do": "resume"})
    assert FleetState.objects.get().blocking_stopped is False


def test_the_scope_tree_has_a_box_for_every_cloud_and_environment_and_ticks_what_is_chosen(reading: Any) -> None:
    estate.environment("azure", "sub-1", name="<Production>")

    part = text_of(reading.get("/settings/scope-tree/", {"selected": ["aws", "azure:sub-1"]}))

    assert 'name="scope" value="azure">' in part
    assert 'name="scope" value="aws" checked>' in part
    assert 'name="scope" value="azure:sub-1" checked>&lt;Production&gt;' in part
    assert 'value="gcp">' in part


def test_retired_environments_are_not_offered_as_scope(reading: Any) -> None:
    estate.environment("azure", "sub-1", retired_at=timezone.now())

    assert "sub-1" not in text_of(reading.get("/settings/scope-tree/"))


def test_the_delivery_line_counts_who_applied_and_who_rejected(reading: Any) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    one, two, _ = (estate.sensor(cluster, f"n{n}", token)[0] for n in range(3))
    estate.version(2)
    rollouts.start_rollout(2)
    assert "v2: 0 of 3 sensors applied" in text_of(reading.get(LINE))

    Delivery.objects.filter(sensor=one).update(state=DeliveryState.APPLIED)
    Delivery.objects.filter(sensor=two).update(state=DeliveryState.REJECTED)

    assert "v2: 1 of 3 sensors applied, 1 rejected" in text_of(reading.get(LINE))


def test_the_delivery_line_counts_the_whole_fleet_before_the_first_chunk_is_told(reading: Any) -> None:
    cluster = estate.cluster()
    estate.sensor(cluster)
    rollouts.open_rollout(estate.version(2))

    assert "v2: 0 of 1 sensor applied" in text_of(reading.get(LINE))


def test_the_delivery_line_leaves_out_who_is_switched_off_or_gone(reading: Any) -> None:
    off = estate.cluster(estate.environment("aws", "1", sensor_enabled=False))
    estate.sensor(off)
    on = estate.cluster()
    token, _ = estate.token(on.environment)
    estate.sensor(on, "live", token)
    estate.sensor(on, "gone", token, state=SensorState.REVOKED, ended_at=timezone.now())
    estate.version(2)
    rollouts.start_rollout(2)

    assert "v2: 0 of 1 sensor applied" in text_of(reading.get(LINE))


def test_the_delivery_line_answers_304_while_nothing_changed(reading: Any, django_assert_max_num_queries: Any) -> None:
    estate.sensor(estate.cluster())
    rollouts.open_rollout(estate.version(2))
    etag = reading.get(LINE)["ETag"]

    with django_assert_max_num_queries(5):
        assert reading.get(LINE, headers={"If-None-Match": etag}).status_code == 304


def test_without_any_rollout_the_line_says_so(reading: Any) -> None:
    assert "No version is on its way yet" in text_of(reading.get(LINE))


def test_a_rollout_shows_its_sensors_their_states_and_why(reading: Any, django_assert_max_num_queries: Any) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    fleet = [estate.sensor(cluster, f"node-{n}", token)[0] for n in range(6)]
    for sensor in fleet:
        seen(sensor, dt.timedelta(hours=1))
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.filter(sensor=fleet[0]).update(
        state=DeliveryState.REJECTED, error="bad signature", acknowledged_at=timezone.now()
    )
    Delivery.objects.filter(sensor=fleet[1]).update(state=DeliveryState.APPLIED, acknowledged_at=timezone.now())

    with django_assert_max_num_queries(13):
        page = text_of(reading.get("/rollouts/2/"))

    for expected in ("v2: 1 of 6 sensors applied, 1 rejected", "bad signature", "The sensor is offline", "node-5"):
        assert expected in page
    rejected = text_of(reading.get("/rollouts/2/", {"state": "rejected"}))
    assert "node-0" in rejected
    assert "node-5" not in rejected


def test_a_rollout_polls_with_304(reading: Any) -> None:
    rollouts.open_rollout(estate.version(2))
    first = reading.get("/rollouts/2/", headers=HTMX)

    assert reading.get("/rollouts/2/", headers={**HTMX, "If-None-Match": first["ETag"]}).status_code == 304


def test_a_version_that_is_not_there_has_no_rollout(reading: Any) -> None:
    assert reading.get("/rollouts/99/").status_code == 404


def test_the_list_of_rollouts_takes_the_same_queries_however_many(
    reading: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(2, 9):
        rollouts.open_rollout(estate.version(number))

    with django_assert_max_num_queries(6):
        page = text_of(reading.get("/rollouts/"))

    assert page.index("v8") < page.index("v2")


def test_a_cluster_lists_its_live_sensors_in_constant_queries(
    managing: Any, django_assert_max_num_queries: Any
) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    for number in range(8):
        seen(estate.sensor(cluster, f"node-{number}", token)[0])
    estate.sensor(cluster, "gone", token, state=SensorState.REVOKED, ended_at=timezone.now())

    with django_assert_max_num_queries(7):
        page = text_of(managing.get(f"/clusters/{cluster.pk}/"))

    assert "node-7" in page
    assert "gone" not in page
    assert "gone" in text_of(managing.get(f"/clusters/{cluster.pk}/", {"state": "revoked"}))


@pytest.mark.parametrize("query", [{"q": "\0"}, {"state": "\0"}, {"page": "\0"}, {"page": "-1"}, {"state": "asleep"}])
def test_nonsense_in_the_address_harms_no_page(reading: Any, query: dict[str, str]) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    rollouts.open_rollout(estate.version(2))

    for path in (f"/clusters/{sensor.cluster_id}/", SETTINGS, "/rollouts/2/", "/settings/scope-tree/"):
        assert reading.get(path, query).status_code == 200, path


def test_a_sensor_shows_what_it_runs_counts_and_lost(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster(), applied_number=1)
    counters = {"execs": 1234, "drifted": 5, "lost": {"ring": 7}}
    seen(sensor, backend="ebpf", capabilities=["block"], counters=counters)

    page = text_of(reading.get(f"/sensors/{sensor.pk}/"))

    for expected in ("v1 applied", "1234", "ring", "ebpf", "block"):
        assert expected in page


def test_a_sensor_that_never_beat_has_a_page_too(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())

    assert "Offline" in text_of(reading.get(f"/sensors/{sensor.pk}/"))


def test_an_administrator_revokes_and_releases_a_sensor_after_being_asked(managing: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())

    assert "Revoke node-1?" in text_of(managing.get(f"/sensors/{sensor.pk}/revoke/"))
    sensor.refresh_from_db()
    assert sensor.state == SensorState.LIVE
    managing.post(f"/sensors/{sensor.pk}/revoke/")
    sensor.refresh_from_db()
    assert sensor.state == SensorState.REVOKED
    managing.post(f"/sensors/{sensor.pk}/release/")
    sensor.refresh_from_db()
    assert sensor.state == SensorState.RELEASED
    assert managing.get(f"/sensors/{sensor.pk}/explode/").status_code == 404


def test_a_token_is_shown_once_with_the_commands_that_use_it(managing: Any, settings: Any) -> None:
    env = estate.environment()
    wanted = {"name": "Nodes", "environment": env.pk, "days": "30", "max_live_nodes": "50"}

    made = text_of(managing.post("/settings/onboarding/", wanted))

    row = EnrolmentToken.objects.get()
    assert f"dwe_{row.prefix}_" in made
    assert f"python -m sensor enrol --portal {settings.PUBLIC_URL} --cluster" in made
    assert (row.environment, row.max_live_nodes, str(row.created_by)) == (env, 50, "Admin")
    assert row.expires_at is not None
    assert f"dwe_{row.prefix}_" not in text_of(managing.get("/settings/onboarding/"))


def test_a_token_that_was_made_there_enrols(managing: Any) -> None:
    env = estate.environment()
    wanted = {"name": "Nodes", "environment": env.pk, "max_live_nodes": "50"}

    made = text_of(managing.post("/settings/onboarding/", wanted))

    text = made.split('id="token-text">')[1].split("<")[0]
    assert estate.enrol(text).status_code == 201


def test_a_token_for_a_cluster_that_is_not_the_environments_is_refused(managing: Any) -> None:
    env = estate.environment()
    estate.cluster(estate.environment("aws", "1"), "other")
    wanted = {"name": "Nodes", "environment": env.pk, "cluster": "other", "max_live_nodes": "50"}

    answer = managing.post("/settings/onboarding/", wanted)

    assert answer.status_code == 422
    assert not EnrolmentToken.objects.exists()


def test_a_token_is_revoked_and_its_sensors_stay(managing: Any) -> None:
    env = estate.environment()
    row, _ = estate.token(env)
    estate.sensor(estate.cluster(env), by=row)

    managing.post(f"/settings/onboarding/{row.pk}/revoke/")

    row.refresh_from_db()
    assert row.revoked_at is not None
    assert Sensor.objects.get().state == SensorState.LIVE


def test_the_command_prints_a_token_that_enrols_and_adds_the_environment(capsys: Any) -> None:
    from django.core.management import call_command

    call_command("enrolment_token", "--environment", "gcp:project-7:Learning", "--name", "Demo")

    text = capsys.readouterr().out.strip()
    assert estate.enrol(text).json()["account"] == "project-7"
    assert Environment.objects.get().name == "Learning"
    assert Cluster.objects.count() == 1
