"""The signing key is rotated while sensors come and go, and no sensor loses contact."""

from __future__ import annotations

import base64
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import AuditEntry
from drift.fleet.actions import blocking_switch, bundles, heartbeats
from drift.fleet.actions.signing_keys import MAX_KEYS, add_key, promote_key, retire_key
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.errors import FleetError
from drift.fleet.models import Cluster, EnrolmentToken, Sensor, SigningKey
from drift.fleet.queries.signing_keys import key_lines
from sensor import wire
from tests.unit.drift.fleet import estate
from tests.unit.drift.health.found import codes, of_sensors

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _alone(pushed: list[PushMessage], queued: Any, nothing_held: None) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def first() -> SigningKey:
    return bundles.ensure_signing_key()


def says(sensor: Sensor, *keys: str) -> None:
    """Send its heartbeat, written at once."""
    heartbeats.store_heartbeat(sensor, wire.Heartbeat("1", None, [], "replay", None, wire.Counters(), keys=list(keys)))
    heartbeats.flush_heartbeats()


def fetched(credential: str, *knows: str, older: bool = False) -> tuple[wire.SignedPolicy, wire.BundlePayload, str]:
    """Return the verified bundle and ETag that a sensor with these accepted keys fetches."""
    headers = {} if older else {"Driftwatch-Keys": ",".join(knows)}
    answer = estate.as_sensor(credential).get(estate.POLICY, headers=headers)
    bundle = msgspec.json.decode(answer.content, type=wire.SignedPolicy)
    key = SigningKey.objects.get(key_id=bundle.key_id)
    raw = base64.b64decode(bundle.payload)
    Ed25519PublicKey.from_public_bytes(bytes(key.public_key)).verify(base64.b64decode(bundle.signature), raw)
    return bundle, msgspec.json.decode(raw, type=wire.BundlePayload), answer.headers["ETag"]


def roles() -> dict[str, str]:
    return {line.key.key_id: line.role for line in key_lines()}


def test_a_key_is_accepted_becomes_active_and_replaces_the_previous_one(first: SigningKey, cluster: Cluster) -> None:
    sensor, credential = estate.sensor(cluster)
    tags = [fetched(credential, first.key_id)[2]]

    new = add_key(None)
    bundle, payload, tag = fetched(credential, first.key_id)
    assert (bundle.key_id, {key.key_id for key in payload.keys}) == (first.key_id, {first.key_id, new.key_id})
    assert roles() == {first.key_id: "active", new.key_id: "pending"}
    tags.append(tag)

    says(sensor, first.key_id, new.key_id)
    promote_key(None, new.key_id)
    bundle, payload, tag = fetched(credential, first.key_id, new.key_id)
    assert bundle.key_id == new.key_id
    assert roles() == {first.key_id: "accepted", new.key_id: "active"}
    tags.append(tag)

    retire_key(None, first.key_id)
    bundle, payload, tag = fetched(credential, first.key_id, new.key_id)
    assert (bundle.key_id, [key.key_id for key in payload.keys]) == (new.key_id, [new.key_id])
    assert roles() == {first.key_id: "retired", new.key_id: "active"}
    assert len({*tags, tag}) == 4  # each change is a new bundle, so that every sensor fetches it


def test_each_bundle_of_a_version_is_later_than_the_previous_one(
    first: SigningKey, cluster: Cluster, admin: Any
) -> None:
    _, credential = estate.sensor(cluster)
    dates = [fetched(credential, first.key_id)[1].created_at]
    for change in (lambda: add_key(None), lambda: blocking_switch.stop_all_blocking(admin)):
        change()
        dates.append(fetched(credential, first.key_id)[1].created_at)
    assert dates == sorted(set(dates))


def test_a_sensor_that_missed_the_whole_rotation_gets_a_bundle_signed_by_its_old_key(
    first: SigningKey, cluster: Cluster
) -> None:
    new = add_key(None)
    promote_key(None, new.key_id)
    _, credential = estate.sensor(cluster)

    bundle, payload, tag = fetched(credential, first.key_id)

    assert bundle.key_id == first.key_id
    assert new.key_id in {key.key_id for key in payload.keys}
    assert tag == fetched(credential, new.key_id)[2]  # the same payload, signed twice


def test_after_its_key_was_retired_a_sensor_gets_a_bundle_that_it_rejects(first: SigningKey, cluster: Cluster) -> None:
    new = add_key(None)
    promote_key(None, new.key_id)
    retire_key(None, first.key_id)
    _, credential = estate.sensor(cluster)

    assert fetched(credential, first.key_id)[0].key_id == new.key_id


def test_a_pending_key_signs_nothing(first: SigningKey, cluster: Cluster) -> None:
    new = add_key(None)
    _, credential = estate.sensor(cluster)

    assert fetched(credential, new.key_id)[0].key_id == first.key_id


def test_an_older_sensor_is_assumed_to_accept_the_keys_from_its_enrolment(
    first: SigningKey, cluster: Cluster, token: EnrolmentToken
) -> None:
    _, old_credential = estate.sensor(cluster, "old", token)
    new = add_key(None)
    _, young_credential = estate.sensor(cluster, "young", token)
    with pytest.raises(FleetError, match="1 active sensor does not accept"):
        promote_key(None, new.key_id)
    promote_key(None, new.key_id, force=True)

    assert fetched(old_credential, older=True)[0].key_id == first.key_id
    assert fetched(young_credential, older=True)[0].key_id == new.key_id


def test_a_key_is_promoted_only_once_every_active_sensor_knows_it(
    first: SigningKey, cluster: Cluster, token: EnrolmentToken, owner: Any
) -> None:
    one, two = estate.fleet_of(cluster, token, 2)
    off, _ = estate.sensor(estate.cluster(estate.environment("aws", "1", sensor_enabled=False)))
    new = add_key(owner)
    says(one, first.key_id, new.key_id)
    for sensor in (two, off):
        says(sensor, first.key_id)

    with pytest.raises(FleetError) as refused:
        promote_key(owner, new.key_id)

    assert (refused.value.code, refused.value.status_code) == ("key_unknown", 409)
    assert bundles.ensure_signing_key() == first
    says(two, first.key_id, new.key_id)
    promote_key(owner, new.key_id)
    assert bundles.ensure_signing_key() == new
    assert list(AuditEntry.objects.filter(object_type="signing key").order_by("pk").values_list("verb", flat=True)) == [
        "added",
        "promoted",
    ]


def test_a_key_in_use_is_not_retired(first: SigningKey, cluster: Cluster) -> None:
    sensor, _ = estate.sensor(cluster)
    says(sensor, first.key_id)
    new = add_key(None)

    with pytest.raises(FleetError, match="is active"):
        retire_key(None, first.key_id)
    promote_key(None, new.key_id, force=True)
    with pytest.raises(FleetError, match="may accept only"):
        retire_key(None, first.key_id)

    assert SigningKey.objects.filter(retired_at=None).count() == 2
    retire_key(None, first.key_id, force=True)
    assert AuditEntry.objects.get(verb="retired").after == {"forced": True}


def test_a_pending_key_can_be_withdrawn(first: SigningKey, cluster: Cluster) -> None:
    estate.sensor(cluster)
    retire_key(None, add_key(None).key_id)
    assert bundles.ensure_signing_key() == first


def test_an_invalid_step_is_rejected_with_its_code(first: SigningKey) -> None:
    add = add_key(None)

    def code(call: Any) -> str:
        with pytest.raises(FleetError) as refused:
            call()
        return refused.value.code

    assert code(lambda: add_key(None)) == "key_pending"
    assert code(lambda: promote_key(None, first.key_id)) == "key_active"
    assert code(lambda: promote_key(None, "nobody")) == "no_such_key"
    retire_key(None, add.key_id)
    assert code(lambda: promote_key(None, add.key_id)) == "key_retired"
    for _ in range(MAX_KEYS - 1):
        promote_key(None, add_key(None).key_id)
    assert code(lambda: add_key(None)) == "too_many_keys"


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_add_a_key_at_once_one_succeeds() -> None:
    bundles.ensure_signing_key()

    def add(_: int) -> bool:
        try:
            add_key(None)
        except FleetError:
            return False
        return True

    assert sorted(estate.together(4, add)) == [False, False, False, True]


def test_every_change_is_pushed_to_every_sensor(
    first: SigningKey, pushed: list[PushMessage], committed: Any, cluster: Cluster
) -> None:
    with committed():
        add_key(None)
    [message] = pushed
    assert (message.number, message.sensors) == (1, None)
    assert message.etag == bundles.signed_bundle(1).etag


def test_an_existing_key_can_be_imported(first: SigningKey, tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)

    call_command("keys", "add", pem=tmp_path / "key.pem", stdout=StringIO())

    key = SigningKey.objects.get(promoted_at=None)
    assert bytes(key.public_key) == private.public_key().public_bytes_raw()
    assert pem.splitlines()[1] not in bytes(key.sealed_private_key)


@pytest.mark.parametrize("kind", ["rubbish", "rsa"])
def test_another_kind_of_key_is_rejected_and_not_quoted(first: SigningKey, tmp_path: Path, kind: str) -> None:
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(rsa if kind == "rsa" else b"secret rubbish")

    with pytest.raises(CommandError, match="is not an Ed25519 private key") as error:
        call_command("keys", "add", pem=tmp_path / "key.pem")

    assert "rubbish" not in str(error.value)


def test_the_command_lists_adds_promotes_and_retires(first: SigningKey, cluster: Cluster) -> None:
    sensor, _ = estate.sensor(cluster)
    says(sensor, first.key_id)

    def run(*words: str) -> str:
        out = StringIO()
        call_command("keys", *words, stdout=out)
        return out.getvalue().strip()

    new = run("add").split()[0]
    assert run("list").splitlines() == [
        f"{new}  pending   accepted by 0 of 1",
        f"{first.key_id}  active    accepted by 1 of 1",
    ]
    with pytest.raises(CommandError, match="does not accept"):
        run("promote", new)
    assert run("promote", new, "--force") == f"{new} is active"
    assert run("retire", first.key_id, "--force") == f"{first.key_id} is retired"


@pytest.fixture
def owning(owner: Any, client_of: Any) -> Client:
    client: Client = client_of(owner)
    return client


def test_an_owner_rotates_the_key_on_its_page(first: SigningKey, cluster: Cluster, owning: Client) -> None:
    sensor, _ = estate.sensor(cluster)
    says(sensor, first.key_id)
    owning.post("/settings/keys/add/")
    new = SigningKey.objects.get(promoted_at=None)
    page = estate.text_of(owning.get("/settings/keys/"))
    assert "0 of 1" in page
    assert f"promote-{new.key_id}" not in page

    refused = estate.text_of(owning.post(f"/settings/keys/{new.key_id}/promote/", follow=True))
    assert "1 active sensor does not accept" in refused
    says(sensor, first.key_id, new.key_id)
    assert f"promote-{new.key_id}" in estate.text_of(owning.get("/settings/keys/"))
    assert "stays accepted" in estate.text_of(owning.get(f"/settings/keys/{new.key_id}/promote/"))
    assert "is active now" in estate.text_of(owning.post(f"/settings/keys/{new.key_id}/promote/", follow=True))
    assert "is retired" in estate.text_of(owning.post(f"/settings/keys/{first.key_id}/retire/", follow=True))


def test_an_unknown_key_or_command_is_not_found(first: SigningKey, owning: Client) -> None:
    assert owning.get(f"/settings/keys/{first.key_id}/eat/").status_code == 404
    assert owning.get("/settings/keys/nobody/retire/").status_code == 404
    assert owning.get("/settings/keys/%00/retire/").status_code == 404


def test_the_page_polls_with_304_and_the_panel_is_a_fragment(first: SigningKey, owning: Client) -> None:
    htmx = {"HX-Request": "true"}
    tag = owning.get("/settings/keys/", headers=htmx).headers["ETag"]
    assert owning.get("/settings/keys/", headers={**htmx, "If-None-Match": tag}).status_code == 304
    panel = owning.get(f"/settings/keys/{first.key_id}/retire/", headers=htmx).content.decode()
    assert panel.strip().startswith("<dialog")


def test_the_card_is_shown_to_owners_alone(first: SigningKey, owning: Client, managing: Client) -> None:
    assert "/settings/keys/" in owning.get("/settings/environments/").content.decode()
    assert "/settings/keys/" not in managing.get("/settings/environments/").content.decode()


def test_sensors_that_accept_no_current_key_are_shown_on_fleet_health(
    first: SigningKey, cluster: Cluster, token: EnrolmentToken, reading: Client
) -> None:
    lost, follows = estate.fleet_of(cluster, token, 2)
    for sensor in (lost, follows):
        estate.seen(sensor)
    new = add_key(None)
    says(lost, first.key_id)
    says(follows, first.key_id, new.key_id)
    assert codes(reading) == []

    promote_key(None, new.key_id, force=True)
    retire_key(None, first.key_id, force=True)

    [notice] = of_sensors(reading)
    assert (notice["code"], notice["sensors"]) == ("keys", [str(lost.pk)])
