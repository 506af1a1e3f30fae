"""Enrolling a node."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import threading
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from drift.fleet.actions import bundles
from drift.fleet.actions.enrolment_tokens import create_enrolment_token
from drift.fleet.domain import signing
from drift.fleet.models import Cluster, Delivery, Sensor, SensorState, SigningKey
from tests import golden_wire
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _no_guesses_yet() -> None:
    cache.clear()


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_node_becomes_a_sensor_of_the_tokens_environment() -> None:
    env = estate.environment("aws", "123456789012")
    _, text = estate.token(env)

    answer = estate.enrol(text)

    body = answer.json()
    sensor = Sensor.objects.get()
    assert answer.status_code == 201
    assert (body["sensor_id"], body["provider"], body["account"]) == (str(sensor.pk), "aws", "123456789012")
    assert body["cluster_name"] == "prod"
    assert len(base64.b64decode(body["keys"][0]["public_key"])) == 32
    assert (sensor.cluster.environment, sensor.node, sensor.state) == (env, "node-1", SensorState.LIVE)


def test_a_new_sensor_joins_the_latest_version_and_its_rollout() -> None:
    _, text = estate.token(estate.environment())
    estate.version(2)

    estate.enrol(text)

    assert Sensor.objects.get().desired_version_id == 2
    assert Delivery.objects.get().rollout.version_id == 2


def test_the_credential_authenticates_the_sensor_s_calls_and_is_not_stored() -> None:
    _, text = estate.token(estate.environment())

    credential = estate.enrol(text).json()["credential"]

    assert estate.as_sensor(credential).get(estate.POLICY).status_code == 200
    assert credential.encode() not in bytes(Sensor.objects.get().credential_digest)


def test_the_enrolment_request_is_the_sensor_s_first_status() -> None:
    _, text = estate.token(estate.environment())

    estate.enrol(text)

    status = Sensor.objects.get().status
    assert (status.sensor_version, status.kubernetes_version) == ("0.1.0", "v1.31.2")
    assert status.capabilities == ["ebpf", "block"]


def test_an_enrolment_leaves_an_audit_record_without_a_secret() -> None:
    _, text = estate.token(estate.environment())

    credential = estate.enrol(text).json()["credential"]

    entry = AuditEntry.objects.get(verb="enrolled")
    assert (entry.actor_name, entry.object_name) == ("Enrolment token nodes", "prod/node-1")
    assert text not in str(entry.after)
    assert credential not in str(entry.after)


def test_nodes_of_one_cluster_share_it_and_the_last_enrolment_sets_its_version() -> None:
    _, text = estate.token(estate.environment())

    estate.enrol(text, node="a")
    info = {"name": "prod", "distribution": "aks", "kubernetes_version": "v1.32.0"}
    estate.enrol(text, node="b", cluster=info)

    assert Cluster.objects.get().kubernetes_version == "v1.32.0"
    assert Sensor.objects.count() == 2


def test_a_token_of_one_cluster_enrols_its_nodes_and_no_others() -> None:
    env = estate.environment()
    _, text = estate.token(env, cluster=estate.cluster(env, "prod"))

    assert estate.enrol(text).status_code == 201
    other = {"name": "test", "distribution": "aks", "kubernetes_version": "v1.31.2"}
    assert code(estate.enrol(text, node="b", cluster=other)) == (403, "wrong_cluster")


@pytest.mark.parametrize(
    "version", ["v1.29.0", "v1.29.3-gke.1", "v1.30.0-eks-036c24b", "1.31+", "v1.33.1+k3s1", "v2.0"]
)
def test_kubernetes_1_29_and_later_is_accepted(version: str) -> None:
    _, text = estate.token(estate.environment())
    info = {"name": "prod", "distribution": "gke", "kubernetes_version": version}

    assert estate.enrol(text, cluster=info).status_code == 201


@pytest.mark.parametrize(
    ("version", "distribution", "expected"),
    [
        ("v1.28.9", "aks", "kubernetes_too_old"),
        ("v1.28.15-gke.2000", "gke", "kubernetes_too_old"),
        ("v1.28.5+k3s1", "other", "kubernetes_too_old"),
        ("v0.99.0", "aks", "kubernetes_too_old"),
        (None, "eks", "kubernetes_version_required"),
        ("newest", "aks", "kubernetes_version_invalid"),
        ("", "other", "kubernetes_version_invalid"),
    ],
)
def test_an_old_missing_or_invalid_kubernetes_version_is_rejected(
    version: str | None, distribution: str, expected: str
) -> None:
    _, text = estate.token(estate.environment())
    info = {"name": "prod", "distribution": distribution, "kubernetes_version": version}

    answer = estate.enrol(text, cluster=info)

    assert code(answer) == (422, expected)
    assert answer.json()["field"] == "cluster.kubernetes_version"
    assert not Sensor.objects.exists()


def test_a_plain_host_needs_no_kubernetes() -> None:
    _, text = estate.token(estate.environment())
    info = {"name": "hosts", "distribution": "other", "kubernetes_version": None}

    assert estate.enrol(text, cluster=info).status_code == 201


def test_an_unknown_token_is_rejected() -> None:
    assert code(estate.enrol("dwe_000000000000_secret")) == (401, "invalid_token")
    assert code(estate.enrol("rubbish")) == (401, "invalid_token")


def test_a_right_prefix_with_a_wrong_secret_is_rejected() -> None:
    row, _ = estate.token(estate.environment())

    assert code(estate.enrol(f"dwe_{row.prefix}_guess")) == (401, "invalid_token")


def test_a_sensor_s_credential_is_not_an_enrolment_token() -> None:
    _, credential = estate.sensor(estate.cluster())

    assert code(estate.enrol(credential, node="b")) == (401, "invalid_token")


def test_an_expired_token_is_rejected() -> None:
    _, text = estate.token(estate.environment(), expires_at=timezone.now() - dt.timedelta(seconds=1))

    assert code(estate.enrol(text)) == (403, "token_expired")


def test_a_revoked_token_is_rejected() -> None:
    _, text = estate.token(estate.environment(), revoked_at=timezone.now())

    assert code(estate.enrol(text)) == (403, "token_revoked")


def test_a_used_up_token_is_rejected_until_a_node_is_released() -> None:
    row, text = estate.token(estate.environment(), max_live_nodes=1)
    estate.enrol(text, node="a")

    assert code(estate.enrol(text, node="b")) == (403, "token_used_up")

    Sensor.objects.filter(enrolment_token=row).update(state=SensorState.RELEASED, ended_at=timezone.now())
    assert estate.enrol(text, node="b").status_code == 201


def test_no_node_enrols_while_the_sensor_is_switched_off() -> None:
    env = estate.environment(sensor_enabled=False)

    assert code(estate.enrol(estate.token(env)[1])) == (403, "environment_off")


def test_no_node_enrols_into_a_retired_environment() -> None:
    env = estate.environment(retired_at=timezone.now())

    assert code(estate.enrol(estate.token(env)[1])) == (403, "environment_off")


def test_a_live_node_is_not_taken_over() -> None:
    _, text = estate.token(estate.environment())
    credential = estate.enrol(text).json()["credential"]

    assert code(estate.enrol(text)) == (409, "node_in_use")
    assert code(estate.enrol(text, previous_credential="dws_000000000000_guess")) == (409, "node_in_use")
    assert estate.as_sensor(credential).get(estate.POLICY).status_code == 200


def test_a_node_with_its_old_credential_gets_a_new_one_and_stays_the_same_sensor() -> None:
    _, text = estate.token(estate.environment(), max_live_nodes=1)
    first = estate.enrol(text).json()

    second = estate.enrol(text, previous_credential=first["credential"]).json()

    assert second["sensor_id"] == first["sensor_id"]
    assert estate.as_sensor(second["credential"]).get(estate.POLICY).status_code == 200
    assert code(estate.as_sensor(first["credential"]).get(estate.POLICY)) == (401, "not_authenticated")


def test_another_nodes_credential_does_not_free_this_node() -> None:
    _, text = estate.token(estate.environment())
    estate.enrol(text, node="a")
    other = estate.enrol(text, node="b").json()["credential"]

    assert code(estate.enrol(text, node="a", previous_credential=other)) == (409, "node_in_use")


def test_a_released_node_enrols_as_another_sensor() -> None:
    _, text = estate.token(estate.environment())
    first = estate.enrol(text).json()
    Sensor.objects.update(state=SensorState.RELEASED, ended_at=timezone.now())

    second = estate.enrol(text).json()

    assert second["sensor_id"] != first["sensor_id"]


def test_a_revoked_node_stays_revoked_even_with_a_good_token_and_its_credential() -> None:
    _, text = estate.token(estate.environment())
    credential = estate.enrol(text).json()["credential"]
    Sensor.objects.update(state=SensorState.REVOKED, ended_at=timezone.now())

    assert code(estate.enrol(text)) == (403, "sensor_revoked")
    assert code(estate.enrol(text, previous_credential=credential)) == (403, "sensor_revoked")


def test_wrong_tokens_are_limited_by_address_and_never_keep_the_right_one_out() -> None:
    row, text = estate.token(estate.environment())
    for number in range(10):
        guess = f"dwe_{row.prefix}_guess" if number % 2 else f"dwe_{'0' * 12}_{number}"
        assert code(estate.enrol(guess)) == (401, "invalid_token")

    answer = estate.enrol(f"dwe_{row.prefix}_guess")

    assert code(answer) == (429, "too_many_attempts")
    assert answer["Retry-After"] == "60"
    assert code(estate.enrol("nonsense")) == (429, "too_many_attempts")
    assert estate.enrol(text).status_code == 201


def test_ten_thousand_wrong_guesses_a_minute_block_no_enrolment() -> None:
    _, text = estate.token(estate.environment())
    cache.set("enrolment-guesses:127.0.0.1", 10_000, 60)

    assert [estate.enrol(text, node=f"node-{n}").status_code for n in range(3)] == [201, 201, 201]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("198.51.100.1", "198.51.100.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ],
)
def test_addresses_are_counted_apart_and_ipv6_by_network(first: str, second: str, together: bool) -> None:
    def guess(address: str) -> int:
        body = json.dumps(estate.request_of("dwe_000000000000_guess"))
        status: int = Client(REMOTE_ADDR=address).post(estate.ENROL, body, content_type="application/json").status_code
        return status

    for _ in range(10):
        guess(first)

    assert guess(first) == 429
    assert guess(second) == (429 if together else 401)


def test_no_audit_entry_shows_a_tokens_prefix(django_user_model: Any) -> None:
    owner = django_user_model.objects.create(email="o@b.example", name="O", role="owner")
    row, text = create_enrolment_token(owner, name="nodes", environment=estate.environment())
    assert estate.enrol(text).status_code == 201

    entries = json.dumps([*AuditEntry.objects.values("object_name", "actor_name", "before", "after")])
    assert "nodes" in entries
    assert row.prefix not in entries


def test_nodes_enrol_while_redis_is_unavailable(settings: Any) -> None:
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"},
    }
    row, text = estate.token(estate.environment())

    assert estate.enrol(text).status_code == 201
    assert code(estate.enrol(f"dwe_{row.prefix}_guess")) == (401, "invalid_token")


def test_a_too_large_invalid_or_compressed_body_is_rejected() -> None:
    post = Client().post

    assert code(post(estate.ENROL, b"x" * 70_000, content_type="application/json")) == (413, "too_large")
    assert code(post(estate.ENROL, b"{", content_type="application/json")) == (400, "invalid_json")
    assert code(post(estate.ENROL, b"\xff", content_type="application/json")) == (400, "invalid_json")
    compressed = post(estate.ENROL, b"{}", content_type="application/json", headers={"Content-Encoding": "gzip"})
    assert code(compressed) == (415, "unsupported_encoding")


def test_nul_in_a_name_is_rejected_before_it_reaches_the_database() -> None:
    _, text = estate.token(estate.environment())

    assert code(estate.enrol(text, node="a\0b")) == (422, "nul")


@pytest.mark.parametrize(
    "fixture", golden_wire.examples(golden_wire.GOLDEN / "enrol_request.json", "invalid"), ids=lambda f: f["name"]
)
def test_the_invalid_examples_are_rejected_with_their_field(fixture: dict[str, Any]) -> None:
    answer = Client().post(estate.ENROL, json.dumps(fixture["value"]), content_type="application/json")

    assert code(answer) == (422, fixture["code"])
    assert answer.json().get("field") == fixture["field"]


@pytest.mark.django_db(transaction=True)
def test_of_two_concurrent_enrolments_of_one_node_exactly_one_succeeds() -> None:
    env = estate.environment()
    texts = [estate.token(env)[1] for _ in range(6)]

    answers = estate.together(6, lambda place: estate.enrol(texts[place]))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert Sensor.objects.filter(state=SensorState.LIVE).count() == 1
    assert Cluster.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_maximum_nodes_of_a_token_are_exact_under_concurrency() -> None:
    _, text = estate.token(estate.environment(), max_live_nodes=3)

    answers = estate.together(8, lambda place: estate.enrol(text, node=f"node-{place}"))

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 5
    assert Sensor.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_concurrent_first_enrolments_create_one_signing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    both_make = threading.Barrier(2)

    def slow(secrets: tuple[str, ...]) -> signing.NewKey:
        with contextlib.suppress(threading.BrokenBarrierError):
            both_make.wait(timeout=0.3)
        return make(secrets)

    make = signing.new_key
    monkeypatch.setattr(signing, "new_key", slow)

    keys = estate.together(2, lambda _: bundles.ensure_signing_key().key_id)

    assert keys[0] == keys[1]
    assert SigningKey.objects.count() == 1


def test_a_body_that_is_nested_too_deeply_is_rejected(db: None) -> None:
    deep = b'{"x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"

    answer = Client().post(estate.ENROL, deep, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
