"""A portal that was restored from an older backup believes a number only with the signed bundle that proves it."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.utils import timezone

from drift.fleet.actions.bundles import ensure_signing_key, signed_bundle
from drift.fleet.actions.number_proofs import record_number_proof
from drift.fleet.domain import signing
from drift.fleet.errors import FleetError
from drift.fleet.models import Sensor, SigningKey
from drift.policy.models import NumberFloor
from sensor import wire
from sensor.policy import default_document, digest
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]
PROOF = "/api/v1/sensors/me/policy/proof"
SECRET = "the secret of the portal"


@pytest.fixture(autouse=True)
def _secret(settings: Any) -> None:
    settings.SECRET_KEY = SECRET


@pytest.fixture
def key() -> SigningKey:
    return ensure_signing_key()


@pytest.fixture
def sensor() -> tuple[Sensor, Client]:
    row, credential = estate.sensor(estate.cluster())
    return row, estate.as_sensor(credential)


def bundle(key: SigningKey, number: int, **changes: Any) -> dict[str, str]:
    """A bundle as the portal issued it before it was restored."""
    document = default_document()
    document["detect"] = document["detect"][:2]  # another one than this portal's
    payload = signing.bundle_payload(number, digest(document), timezone.now(), document, [], blocking_stopped=False)
    signature = signing.sign(payload, bytes(key.sealed_private_key), (SECRET,))
    return {
        "key_id": key.key_id,
        "signature": base64.b64encode(signature).decode(),
        "payload": base64.b64encode(payload).decode(),
        **changes,
    }


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


def floor() -> int:
    found: int = NumberFloor.objects.get().number
    return found


def test_the_signed_bundle_raises_the_floor_and_counts_as_applied(
    key: SigningKey, sensor: tuple[Sensor, Client]
) -> None:
    row, client = sensor

    assert post(client, PROOF, bundle(key, 41)).status_code == 204

    assert floor() == 41
    row.refresh_from_db()
    assert row.applied_number == 41


def test_another_document_under_a_number_of_this_portal_raises_the_floor_too(
    key: SigningKey, sensor: tuple[Sensor, Client]
) -> None:
    row, client = sensor

    post(client, PROOF, bundle(key, 1))

    assert floor() == 1
    row.refresh_from_db()
    assert row.applied_number is None


def test_a_bundle_of_this_portal_proves_nothing_new(key: SigningKey, sensor: tuple[Sensor, Client]) -> None:
    own = signed_bundle(1)
    sent = {
        "key_id": own.key_id,
        "signature": base64.b64encode(bytes(own.signature)).decode(),
        "payload": base64.b64encode(bytes(own.payload)).decode(),
    }

    assert post(sensor[1], PROOF, sent).status_code == 204
    assert floor() == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"key_id": "0" * 16},
        {"key_id": ""},
        {"key_id": "x" * 5_000},
        {"signature": base64.b64encode(b"\\0" * 64).decode()},
        {"signature": ""},
        {"signature": "no base64!"},
        {"payload": base64.b64encode(b"{}").decode()},
        {"payload": "no base64!"},
    ],
)
def test_what_no_key_of_this_portal_signed_proves_nothing(
    key: SigningKey, sensor: tuple[Sensor, Client], changes: dict[str, str]
) -> None:
    answer = post(sensor[1], PROOF, bundle(key, 41, **changes))

    assert (answer.status_code, answer.json()["code"]) == (422, "proof_invalid")
    assert floor() == 0


@pytest.mark.parametrize("payload", [b"{", b'{"digest": "\xff"}', b'{"more":' + b"[" * 100_000])
def test_a_signed_payload_that_cannot_be_read_proves_nothing(
    key: SigningKey, sensor: tuple[Sensor, Client], payload: bytes
) -> None:
    signed = wire.SignedPolicy(
        key.key_id,
        base64.b64encode(signing.sign(payload, bytes(key.sealed_private_key), (SECRET,))).decode(),
        base64.b64encode(payload).decode(),
    )

    with pytest.raises(FleetError) as raised:
        record_number_proof(sensor[0], signed)

    assert (raised.value.status_code, raised.value.code) == (422, "proof_invalid")


def test_a_signed_payload_that_is_no_policy_proves_nothing(key: SigningKey, sensor: tuple[Sensor, Client]) -> None:
    payload = b'{"number": 41}'
    signature = signing.sign(payload, bytes(key.sealed_private_key), (SECRET,))

    answer = post(
        sensor[1],
        PROOF,
        {
            "key_id": key.key_id,
            "signature": base64.b64encode(signature).decode(),
            "payload": base64.b64encode(payload).decode(),
        },
    )

    assert (answer.status_code, floor()) == (422, 0)


def test_a_retired_key_proves_nothing_because_it_may_have_been_stolen(
    key: SigningKey, sensor: tuple[Sensor, Client]
) -> None:
    sent = bundle(key, 2_000_000_000 - 1)
    SigningKey.objects.filter(pk=key.pk).update(retired_at=timezone.now())

    assert post(sensor[1], PROOF, sent).status_code == 422
    assert floor() == 0


def test_a_number_that_no_version_could_follow_is_ignored(key: SigningKey, sensor: tuple[Sensor, Client]) -> None:
    assert post(sensor[1], PROOF, bundle(key, 2**31 - 1)).status_code == 204

    assert floor() == 0


def test_a_proof_needs_a_credential(key: SigningKey) -> None:
    assert post(Client(), PROOF, bundle(key, 41)).status_code == 401
    assert floor() == 0


def test_a_heartbeat_on_an_unknown_bundle_is_asked_for_its_proof_until_the_floor_has_it(
    key: SigningKey, sensor: tuple[Sensor, Client]
) -> None:
    beat = estate.beat(applied_number=41, applied_etag="e" * 64)

    assert post(sensor[1], estate.HEARTBEAT, beat).json()["wants_proof"] is True
    post(sensor[1], PROOF, bundle(key, 41))
    assert post(sensor[1], estate.HEARTBEAT, beat).json()["wants_proof"] is False


def test_heartbeats_on_known_bundles_and_of_older_sensors_are_asked_for_nothing(
    key: SigningKey, sensor: tuple[Sensor, Client]
) -> None:
    known = signed_bundle(1)
    beats = [
        estate.beat(applied_number=1, applied_etag=known.etag),
        estate.beat(applied_number=None),
        estate.beat(applied_number=41),  # a sensor of before bundles had an ETag in the heartbeat
        estate.beat(applied_number=41, applied_etag=""),
    ]

    assert [post(sensor[1], estate.HEARTBEAT, beat).json()["wants_proof"] for beat in beats] == [False] * 4


def test_a_sensor_of_before_the_restore_obeys_the_next_version(
    key: SigningKey, sensor: tuple[Sensor, Client], tmp_path: Any, django_user_model: Any
) -> None:
    from drift.policy.actions.versions import save_document
    from sensor.agent.policy_in_force import PolicyKeeper
    from sensor.delivery.client import FetchedBundle
    from sensor.operations.state_directory import StateDirectory

    public = wire.PublicKey(key.key_id, base64.b64encode(bytes(key.public_key)).decode())
    keeper = PolicyKeeper(StateDirectory(tmp_path), [public])
    before = bundle(key, 41)
    keeper.consider(FetchedBundle(msgspec.convert(before, wire.SignedPolicy), "e" * 64))
    shown = keeper.applied_bundle()
    assert shown is not None

    post(sensor[1], PROOF, msgspec.to_builtins(shown))
    owner = django_user_model.objects.create(email="o@b.example", name="O", role="owner")
    other = default_document()
    other["detect"] = other["detect"][:1]
    version = save_document(owner, other, 1).version
    made = signed_bundle(version.number)

    assert version.number == 42
    status = keeper.consider(
        FetchedBundle(
            wire.SignedPolicy(
                made.key_id,
                base64.b64encode(bytes(made.signature)).decode(),
                base64.b64encode(bytes(made.payload)).decode(),
            ),
            made.etag,
        )
    )
    assert status is not None and status.state == "applied"
