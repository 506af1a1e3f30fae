"""Sensor onboarding: tokens created, shown once, revoked."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from typing import Any

import pytest
from django.utils import timezone

from drift.fleet.models import (
    Cluster,
    Delivery,
    DeliveryState,
    EnrolmentToken,
    Environment,
    Proof,
    Rollout,
    Sensor,
    SensorState,
    SensorStatus,
)
from drift.fleet.queries import sensor_files
from tests.unit.drift.fleet import estate

PAGE = "/settings/onboarding/"
pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_a_token_is_shown_once_with_a_line_for_each_way(managing: Any, settings: Any) -> None:
    env = estate.environment("aws", "123456789012", name="Web shop")
    wanted = {"name": "Nodes", "environment": env.pk, "days": "30", "max_live_nodes": "50"}

    made = estate.text_of(managing.post(PAGE, wanted))

    row = EnrolmentToken.objects.get()
    assert made.count(f"dwe_{row.prefix}_") == 6
    assert "--set-literal=cluster=web-shop --set-literal=distribution=eks --set-literal=runtime=containerd" in made
    assert f"--from-literal=PORTAL={settings.PUBLIC_URL}" in made
    assert f"enrol --unless-enrolled --portal={settings.PUBLIC_URL} --cluster=hosts --distribution=other" in made
    assert (row.environment, row.max_live_nodes, str(row.created_by)) == (env, 50, "Admin")
    assert row.expires_at is not None
    for later in (PAGE, f"{PAGE}{row.pk}/"):
        assert f"dwe_{row.prefix}_" not in estate.text_of(managing.get(later))


@pytest.mark.parametrize(
    ("typed", "distribution", "runtime"),
    [({}, "aks", "containerd"), ({"platform": "k3s"}, "other", "k3s"), ({"platform": "crio"}, "other", "crio")],
)
def test_the_platform_is_that_of_the_cloud_or_the_one_chosen(
    managing: Any, typed: dict[str, str], distribution: str, runtime: str
) -> None:
    env = estate.environment()
    wanted = {"name": "Nodes", "environment": env.pk, "max_live_nodes": "5", "cluster_name": "blue, green", **typed}
    made = unescape(estate.text_of(managing.post(PAGE, wanted)))
    assert f"'--set-literal=cluster=blue, green' --set-literal=distribution={distribution}" in made
    assert f"--set-literal=runtime={runtime}" in made


def test_a_cluster_that_exists_gives_its_name_and_distribution(managing: Any) -> None:
    env = estate.environment("aws", "1")
    estate.cluster(env, "old-blue", distribution="gke")
    wanted = {"name": "Nodes", "environment": env.pk, "cluster": "old-blue", "max_live_nodes": "5"}
    made = estate.text_of(managing.post(PAGE, wanted))
    assert "--set-literal=cluster=old-blue --set-literal=distribution=gke" in made


@pytest.mark.parametrize("image", ["x y", "$(reboot)", "a;b", "-rm", "x'", "é/x"])
def test_what_is_not_an_image_is_rejected(managing: Any, image: str) -> None:
    wanted = {"name": "Nodes", "environment": estate.environment().pk, "max_live_nodes": "5", "image": image}
    assert managing.post(PAGE, wanted).status_code == 422
    assert not EnrolmentToken.objects.exists()


def test_the_settings_name_the_image_and_the_package(managing: Any, settings: Any) -> None:
    settings.SENSOR_IMAGE, settings.SENSOR_PACKAGE = "harbor.local:8443/sec/sensor:9", "https://files.local/sensor.whl"
    wanted = {"name": "Nodes", "environment": estate.environment().pk, "max_live_nodes": "5"}
    made = estate.text_of(managing.post(PAGE, wanted))
    assert "--set-literal=image.repository=harbor.local:8443/sec/sensor --set-literal=image.tag=9" in made
    assert "pip install --quiet https://files.local/sensor.whl" in made


def test_what_the_lines_fetch_is_there_for_whoever_has_the_line(managing: Any, client: Any) -> None:
    wanted = {"name": "Nodes", "environment": estate.environment().pk, "max_live_nodes": "5", "platform": "k3s"}
    made = estate.text_of(managing.post(PAGE, wanted))
    paths = set(re.findall(r"/sensor-files/[\w:.-]+/driftwatch-sensor[\w.-]*\.(?:tgz|yaml|service)", made))
    assert len(paths) == 3
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200
        assert b"dwe_" not in answer.content
    manifests = client.get(next(path for path in paths if path.endswith("yaml"))).content.decode()
    assert "path: /run/k3s" in manifests


@pytest.mark.parametrize("name", ["daemonset.yaml", "kustomization.yaml", "../settings.py", "x.tgz"])
def test_nothing_else_is(client: Any, name: str) -> None:
    signed = sensor_files.signed_place("containerd", "x")
    assert client.get(f"/sensor-files/{signed}/{name}").status_code == 404


@pytest.mark.parametrize("signed", ["x", "W10:x:y", "a:b:c"])
def test_a_made_up_or_old_signature_opens_nothing(client: Any, signed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get(f"/sensor-files/{signed}/driftwatch-sensor.yaml").status_code == 404
    good = sensor_files.signed_place("containerd", "x")
    assert client.get(f"/sensor-files/{good}/driftwatch-sensor.yaml").status_code == 200
    monkeypatch.setattr(sensor_files, "MAX_AGE", -1)
    assert client.get(f"/sensor-files/{good}/driftwatch-sensor.yaml").status_code == 404


def steps(managing: Any, row: EnrolmentToken) -> tuple[list[str], str]:
    """Return the class of each step, and the text of the message above them."""
    page = unescape(estate.text_of(managing.get(f"{PAGE}{row.pk}/")))
    message = re.search(r'class="message ?\w*">.*?<span>(.*?)</span></div>', page.split('id="progress"')[1])
    assert message is not None
    return re.findall(r'<li class="(\w*)">', page.split('class="steps"')[1].split("</ol>")[0]), message[1]


def test_the_page_follows_the_first_node_step_by_step(managing: Any) -> None:
    env = estate.environment(proved_since=timezone.now())
    row, _ = estate.token(env)
    assert steps(managing, row) == (["next", "", "", ""], "Waiting for the first node. Run one of the lines.")
    sensor, _ = estate.sensor(estate.cluster(env), by=row)
    assert steps(managing, row)[0] == ["done", "next", "", ""]
    estate.seen(sensor, backend="ebpf")
    assert steps(managing, row)[0] == ["done", "done", "next", ""]
    Sensor.objects.filter(pk=sensor.pk).update(applied_number=1, applied_at=timezone.now())
    assert steps(managing, row)[0] == ["done", "done", "done", "next"]
    Proof.objects.create(sensor=sensor, seen_at=timezone.now(), seconds=1)
    found, message = steps(managing, row)
    assert found == ["done"] * 4
    assert "node-1 is protected." in message
    assert "1 of 1 enrolled node is ready." in message
    assert 'hx-trigger="every 2s"' not in estate.text_of(managing.get(f"{PAGE}{row.pk}/"))


def test_without_proof_of_detection_three_steps_are_all(managing: Any) -> None:
    row, _ = estate.token(estate.environment())
    sensor, _ = estate.sensor(estate.cluster(row.environment), by=row, applied_number=1, applied_at=timezone.now())
    estate.seen(sensor, backend="ebpf")
    assert steps(managing, row)[0] == ["done"] * 3


def test_a_node_that_was_ready_is_not_called_protected_once_it_is_silent_or_switched_off(managing: Any) -> None:
    row, _ = estate.token(estate.environment())
    sensor, _ = estate.sensor(estate.cluster(row.environment), by=row, applied_number=1)
    estate.seen(sensor, ago=dt.timedelta(minutes=2), backend="ebpf")
    assert "node-1 is protected." in steps(managing, row)[1]

    SensorStatus.objects.update(last_seen_at=timezone.now() - dt.timedelta(minutes=4))
    found, message = steps(managing, row)
    assert found == ["done"] * 3
    assert "node-1 is not known to be protected:" in message
    assert "its sensor has not reported since" in message

    SensorStatus.objects.update(last_seen_at=timezone.now())
    Environment.objects.update(sensor_enabled=False)
    assert "is switched off" in steps(managing, row)[1]
    Environment.objects.update(retired_at=timezone.now())
    assert "is retired" in steps(managing, row)[1]


def test_of_nodes_that_are_as_far_one_that_reports_is_shown(managing: Any) -> None:
    row, _ = estate.token(estate.environment())
    cluster = estate.cluster(row.environment)
    for node, ago in (("dead", 60), ("live", 1)):
        sensor, _ = estate.sensor(cluster, node, row, applied_number=1)
        estate.seen(sensor, ago=dt.timedelta(minutes=ago), backend="ebpf")
    message = steps(managing, row)[1]
    assert "live is protected." in message
    assert "1 of 2 enrolled nodes is ready." in message


def test_the_node_that_is_furthest_counts_and_released_ones_do_not(managing: Any) -> None:
    row, _ = estate.token(estate.environment())
    cluster = estate.cluster(row.environment)
    gone, _ = estate.sensor(cluster, "gone", row, applied_number=1, state=SensorState.RELEASED, ended_at=timezone.now())
    estate.seen(gone, backend="ebpf")
    estate.sensor(cluster, "slow", row)
    assert steps(managing, row)[0] == ["done", "next", ""]
    quick, _ = estate.sensor(cluster, "quick", row, applied_number=1)
    estate.seen(quick, backend="ebpf")
    found, message = steps(managing, row)
    assert found == ["done"] * 3
    assert "1 of 2 enrolled nodes is ready." in message


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (0, "No node has enrolled yet."),
        (1, "its sensor has not reported yet"),
        (2, "has not acknowledged a policy yet"),
        (3, "has not proved its detection yet. That takes <code>SYS_ADMIN</code> (Helm"),
    ],
)
def test_after_a_minute_it_says_what_to_check_at_each_step(managing: Any, done: int, words: str) -> None:
    ago = timezone.now() - dt.timedelta(seconds=61)
    row, _ = estate.token(estate.environment(proved_since=ago), created_at=ago)
    if done:
        sensor, _ = estate.sensor(estate.cluster(row.environment), by=row, enrolled_at=ago)
        if done > 1:
            estate.seen(sensor, backend="ebpf")
        Sensor.objects.filter(pk=sensor.pk).update(applied_number=1 if done > 2 else None)
    _, message = steps(managing, row)
    assert "Still waiting." in message
    assert words in message


def test_what_cannot_end_well_is_said_at_once(managing: Any) -> None:
    off = estate.token(estate.environment("gcp", "off", sensor_enabled=False))[0]
    assert "is switched off" in steps(managing, off)[1]
    now = timezone.now()
    env = estate.environment()
    assert "The token was revoked." in steps(managing, estate.token(env, revoked_at=now)[0])[1]
    assert "The token expired." in steps(managing, estate.token(env, expires_at=now)[0])[1]
    row, _ = estate.token(env)
    sensor, _ = estate.sensor(estate.cluster(env), by=row, desired_version_id=1)
    rollout = Rollout.objects.create(version_id=1)
    Delivery.objects.create(rollout=rollout, sensor=sensor, state=DeliveryState.REJECTED, error="bad signature")
    assert "node-1 rejected the policy: bad signature" in re.sub("</?strong>", "", steps(managing, row)[1])


def test_a_poll_that_changes_nothing_gets_304(managing: Any) -> None:
    row, _ = estate.token(estate.environment())
    first = managing.get(f"{PAGE}{row.pk}/", headers={"HX-Request": "true"})
    again = managing.get(f"{PAGE}{row.pk}/", headers={"HX-Request": "true", "If-None-Match": first["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)


def test_a_token_created_on_the_page_enrols(managing: Any) -> None:
    env = estate.environment()
    wanted = {"name": "Nodes", "environment": env.pk, "max_live_nodes": "50"}

    made = estate.text_of(managing.post("/settings/onboarding/", wanted))

    text = made.split('id="token-text">')[1].split("<")[0]
    assert estate.enrol(text).status_code == 201


def test_a_token_for_a_cluster_of_another_environment_is_rejected(managing: Any) -> None:
    env = estate.environment()
    estate.cluster(estate.environment("aws", "1"), "other")
    wanted = {"name": "Nodes", "environment": env.pk, "cluster": "other", "max_live_nodes": "50"}

    answer = managing.post("/settings/onboarding/", wanted)

    assert answer.status_code == 422
    assert not EnrolmentToken.objects.exists()


def test_a_token_is_revoked_and_its_sensors_remain(managing: Any) -> None:
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
