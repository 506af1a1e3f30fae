"""The calls of an enrolled sensor."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.test import Client
from django.utils import timezone

from drift.fleet.actions import blocking_switch
from drift.fleet.domain.push_messages import check_ticket
from drift.fleet.models import Bundle, Environment, Sensor, SensorState, SigningKey
from drift.policy.models import NumberFloor, PolicyVersion
from sensor import wire
from tests import golden_wire
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


def payload_of(answer: Any) -> wire.BundlePayload:
    bundle = msgspec.json.decode(answer.content, type=wire.SignedPolicy)
    return msgspec.json.decode(base64.b64decode(bundle.payload), type=wire.BundlePayload)


@pytest.fixture
def sensor() -> Sensor:
    return estate.sensor(estate.cluster())[0]


@pytest.fixture
def node(sensor: Sensor) -> Client:
    """A client with the sensor's credential."""
    from accounts import tokens

    new = tokens.new_token(tokens.SENSOR)
    Sensor.objects.filter(pk=sensor.pk).update(credential_prefix=new.prefix, credential_digest=new.digest)
    return estate.as_sensor(new.token)


@pytest.mark.parametrize("credential", ["", "Bearer", "Bearer nonsense", "Bearer dws_000000000000_x", "Basic dws_1_2"])
def test_an_unknown_credential_gets_the_stop_response(credential: str) -> None:
    answer = Client(headers={"Authorization": credential}).get(estate.POLICY)

    assert code(answer) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_right_prefix_with_a_wrong_secret_is_unknown() -> None:
    row, _ = estate.sensor(estate.cluster())

    assert code(estate.as_sensor(f"dws_{row.credential_prefix}_x").get(estate.POLICY)) == (401, "not_authenticated")


def test_a_revoked_sensor_gets_the_final_response() -> None:
    _, credential = estate.sensor(estate.cluster(), state=SensorState.REVOKED, ended_at=timezone.now())

    assert code(estate.as_sensor(credential).get(estate.POLICY)) == (403, "sensor_revoked")


def test_a_released_sensor_gets_the_stop_response() -> None:
    _, credential = estate.sensor(estate.cluster(), state=SensorState.RELEASED, ended_at=timezone.now())

    assert code(estate.as_sensor(credential).get(estate.POLICY)) == (401, "not_authenticated")


@pytest.mark.parametrize("off", [{"sensor_enabled": False}, {"retired_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}])
def test_every_call_reports_a_switched_off_environment_until_it_is_on_again(node: Client, off: dict[str, Any]) -> None:
    Environment.objects.update(**off)

    answers = [
        node.get(estate.POLICY),
        post(node, estate.HEARTBEAT, estate.beat()),
        post(node, estate.STATUS, estate.status_of(PolicyVersion.objects.get())),
        node.post(estate.TICKET, content_type="application/json"),
    ]

    assert [code(answer) for answer in answers] == [(403, "environment_off")] * 4
    Environment.objects.update(sensor_enabled=True, retired_at=None)
    assert node.get(estate.POLICY).status_code == 200


def test_the_policy_is_signed_over_its_exact_bytes_by_a_key_from_enrolment(node: Client) -> None:
    bundle = msgspec.json.decode(node.get(estate.POLICY).content, type=wire.SignedPolicy)

    key = SigningKey.objects.get(key_id=bundle.key_id)
    public = Ed25519PublicKey.from_public_bytes(bytes(key.public_key))
    public.verify(base64.b64decode(bundle.signature), base64.b64decode(bundle.payload))


def test_the_payload_is_the_desired_version(node: Client) -> None:
    payload = payload_of(node.get(estate.POLICY))

    stored = PolicyVersion.objects.get(pk=1)
    assert (payload.number, payload.digest, payload.document) == (1, stored.digest, stored.document)
    assert payload.blocking_stopped is False
    assert payload.created_at.tzinfo is not None


def test_the_private_key_is_sealed_at_rest(node: Client, settings: Any) -> None:
    from cryptography.fernet import Fernet, InvalidToken

    node.get(estate.POLICY)

    sealed = bytes(SigningKey.objects.get().sealed_private_key)
    with pytest.raises(InvalidToken):
        Fernet(base64.urlsafe_b64encode(settings.SECRET_KEY.encode().ljust(32)[:32])).decrypt(sealed)


def test_with_another_secret_key_a_new_signing_key_is_created_and_sensors_learn_both(
    node: Client, settings: Any
) -> None:
    from drift.fleet.actions import bundles

    node.get(estate.POLICY)
    settings.SECRET_KEY = "another"

    new = bundles.ensure_signing_key()

    assert len(bundles.public_keys()) == 2
    assert bundles.public_keys()[0].key_id == new.key_id


def test_the_etag_is_the_payload_s_sha256_and_sending_it_returns_304(node: Client) -> None:
    import hashlib

    answer = node.get(estate.POLICY)
    bundle = msgspec.json.decode(answer.content, type=wire.SignedPolicy)
    etag = hashlib.sha256(base64.b64decode(bundle.payload)).hexdigest()

    assert answer["ETag"] == f'"{etag}"'
    for header in (f'"{etag}"', etag, f'W/"{etag}"', f'"other", "{etag}"'):
        again = node.get(estate.POLICY, headers={"If-None-Match": header})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", f'"{etag}"')
    assert node.get(estate.POLICY, headers={"If-None-Match": '"other"'}).status_code == 200


def test_two_fetches_sign_once(node: Client) -> None:
    first, second = node.get(estate.POLICY), node.get(estate.POLICY)

    assert first.content == second.content
    assert Bundle.objects.count() == 1


def test_each_sensor_gets_its_own_desired_version(node: Client, sensor: Sensor) -> None:
    estate.version(2)

    assert payload_of(node.get(estate.POLICY)).number == 1
    Sensor.objects.filter(pk=sensor.pk).update(desired_version_id=2)
    assert payload_of(node.get(estate.POLICY)).number == 2


def test_a_sensor_without_a_desired_version_gets_a_clear_response(node: Client, sensor: Sensor) -> None:
    Sensor.objects.filter(pk=sensor.pk).update(desired_version=None)

    assert code(node.get(estate.POLICY)) == (404, "no_policy")


def test_stopping_and_resuming_gives_the_same_version_with_a_later_date_each_time(node: Client, admin: Any) -> None:
    answers = [node.get(estate.POLICY)]
    for switch in (
        blocking_switch.stop_all_blocking,
        blocking_switch.resume_blocking,
        blocking_switch.stop_all_blocking,
    ):
        switch(admin)
        answers.append(node.get(estate.POLICY))

    payloads = [payload_of(answer) for answer in answers]
    assert [payload.number for payload in payloads] == [1, 1, 1, 1]
    assert [payload.blocking_stopped for payload in payloads] == [False, True, False, True]
    dates = [payload.created_at for payload in payloads]
    assert dates == sorted(set(dates))
    assert len({answer["ETag"] for answer in answers}) == 4


def test_blocking_stays_stopped_in_a_version_saved_later(node: Client, sensor: Sensor, admin: Any) -> None:
    blocking_switch.stop_all_blocking(admin)
    estate.version(2)
    Sensor.objects.filter(pk=sensor.pk).update(desired_version_id=2)

    assert payload_of(node.get(estate.POLICY)).blocking_stopped is True


def test_a_heartbeat_is_stored_and_returns_the_desired_etag(node: Client, sensor: Sensor) -> None:
    answer = post(node, estate.HEARTBEAT, estate.beat())

    etag = node.get(estate.POLICY)["ETag"].strip('"')
    assert answer.json() == {"desired_etag": etag, "canary_seconds": None, "wants_proof": False, "wants_execs": True}
    status = Sensor.objects.get(pk=sensor.pk).status
    assert (status.backend, status.sensor_version, status.counters["lost"]) == ("ebpf", "0.1.1", {"ring": 1})
    post(node, estate.HEARTBEAT, estate.beat(backend="replay"))
    status.refresh_from_db()
    assert status.backend == "replay"


def test_a_ticket_opens_the_stream_for_this_sensor_for_a_short_while(
    node: Client, sensor: Sensor, settings: Any
) -> None:
    answer = node.post(estate.TICKET, content_type="application/json")

    ticket = msgspec.json.decode(answer.content, type=wire.StreamTicket)
    now = timezone.now().timestamp()
    assert ticket.stream_url == settings.STREAM_URL
    opened = check_ticket(ticket.ticket, now, settings.SECRET_KEY)
    assert opened is not None and opened.sensor == str(sensor.pk)
    assert check_ticket(ticket.ticket, ticket.expires_at.timestamp(), settings.SECRET_KEY) is None
    assert check_ticket(ticket.ticket, now, "another secret") is None


def test_no_reported_number_moves_the_floor_without_its_proof(node: Client, sensor: Sensor) -> None:
    for number in (7, 5_331, 2**31 - 1):
        report = estate.status_of(PolicyVersion.objects.get()) | {"number": number, "etag": "f" * 64}
        assert post(node, estate.STATUS, report).status_code == 204
        post(node, estate.HEARTBEAT, estate.beat(applied_number=number))
        post(node, estate.HEARTBEAT, estate.beat(applied_number=number, applied_etag="f" * 64))

    assert NumberFloor.objects.get().number == 0
    sensor.refresh_from_db()
    assert sensor.applied_number is None


def test_an_unknown_digest_of_a_known_number_moves_nothing(node: Client, sensor: Sensor) -> None:
    report = estate.status_of(PolicyVersion.objects.get()) | {"digest": "0" * 64}

    post(node, estate.STATUS, report)

    assert NumberFloor.objects.get().number == 0
    sensor.refresh_from_db()
    assert sensor.applied_number is None


@pytest.mark.parametrize("shape", ["policy_status", "heartbeat"])
def test_valid_examples_are_accepted_and_invalid_ones_rejected(node: Client, shape: str) -> None:
    path = {"policy_status": estate.STATUS, "heartbeat": estate.HEARTBEAT}[shape]
    file = golden_wire.GOLDEN / f"{shape}.json"

    for fixture in golden_wire.examples(file, "valid"):
        assert post(node, path, fixture["value"]).status_code in {200, 204}, fixture["name"]
    for fixture in golden_wire.examples(file, "invalid"):
        answer = post(node, path, fixture["value"])
        assert code(answer) == (422, fixture["code"]), fixture["name"]
        assert answer.json().get("field") == fixture["field"], fixture["name"]


def test_a_fetch_takes_the_same_few_queries_whatever_the_estate(
    node: Client, sensor: Sensor, django_assert_max_num_queries: Any
) -> None:
    etag = node.get(estate.POLICY)["ETag"]
    Sensor.objects.filter(pk=sensor.pk).update(applied_number=1)
    for number in range(20):
        estate.sensor(sensor.cluster, f"other-{number}")

    with django_assert_max_num_queries(3):
        assert node.get(estate.POLICY, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.django_db(transaction=True)
def test_concurrent_fetches_of_a_new_version_return_the_same_bytes() -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    nodes = [estate.as_sensor(estate.sensor(cluster, f"n{n}", token)[1]) for n in range(6)]

    answers = estate.together(6, lambda place: nodes[place].get(estate.POLICY))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert Bundle.objects.count() == 1
