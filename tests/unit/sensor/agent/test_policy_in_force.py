"""A sensor applies only newer, signed policies, and otherwise keeps the current one."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sensor import policy, wire
from sensor.agent.policy_in_force import PolicyKeeper
from sensor.delivery.client import FetchedBundle
from sensor.operations.state_directory import StateDirectory, StoredPolicy
from sensor.policy.document import decisive_document
from tests.unit.sensor.fake_portal import FakePortal
from tests.unit.sensor.makers import enrolled

OLD = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
NEW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)


@pytest.fixture
def keeper(state: StateDirectory, portal: FakePortal) -> PolicyKeeper:
    return PolicyKeeper(state, [portal.key])


def offer(keeper: PolicyKeeper, portal: FakePortal, number: int, **more: Any) -> wire.PolicyStatus | None:
    return keeper.consider(FetchedBundle(portal.publish(number, **more), portal.etag))


def number_of(keeper: PolicyKeeper) -> int | None:
    return keeper.current.number if keeper.current else None


def test_a_signed_bundle_is_applied_and_reported_as_applied(keeper: PolicyKeeper, portal: FakePortal) -> None:
    document = {**policy.default_document(), "detect": ["fileless"]}
    status = offer(keeper, portal, 3, document=document, blocking_stopped=True)
    assert status == wire.PolicyStatus(3, policy.digest(policy.normalise(document)), "applied", etag=portal.etag)
    assert keeper.current is not None
    assert (keeper.current.number, keeper.current.etag) == (3, portal.etag)
    assert keeper.current.detect == {"fileless"}
    assert keeper.current.blocking_stopped


def test_the_last_applied_policy_is_loaded_at_the_next_start(
    keeper: PolicyKeeper, portal: FakePortal, state: StateDirectory
) -> None:
    offer(keeper, portal, 3)
    again = PolicyKeeper(state, [portal.key])
    assert number_of(again) == 3
    assert again.status() == keeper.status()
    assert again.considered == portal.etag


def test_a_policy_that_was_changed_on_disk_is_not_used(
    keeper: PolicyKeeper, portal: FakePortal, state: StateDirectory
) -> None:
    bundle = portal.publish(3)
    forged = base64.b64encode(base64.b64decode(bundle.payload).replace(b'"number":3', b'"number":4')).decode()
    state.save_policy(StoredPolicy(portal.etag, wire.SignedPolicy("k1", bundle.signature, forged)))
    assert PolicyKeeper(state, [portal.key]).current is None


@pytest.mark.parametrize(
    ("number", "created_at", "obeyed"),
    [(6, OLD, True), (5, NEW, True), (5, OLD, False), (4, NEW, False)],
)
def test_only_a_newer_bundle_is_applied(
    keeper: PolicyKeeper, portal: FakePortal, number: int, created_at: dt.datetime, obeyed: bool
) -> None:
    offer(keeper, portal, 5)
    before = keeper.current
    status = offer(keeper, portal, number, created_at=created_at)
    assert status is not None
    assert status.state == ("applied" if obeyed else "rejected")
    assert number_of(keeper) == max(number, 5)
    assert (keeper.current is before) != obeyed


@pytest.mark.parametrize("broken", ["signature", "payload", "key", "base64"])
def test_an_unsigned_bundle_is_rejected(
    keeper: PolicyKeeper, portal: FakePortal, state: StateDirectory, broken: str
) -> None:
    offer(keeper, portal, 3)
    bundle = portal.publish(4)
    other = FakePortal().publish(4)
    forged = {
        "signature": wire.SignedPolicy("k1", other.signature, bundle.payload),
        "payload": wire.SignedPolicy(
            "k1", bundle.signature, base64.b64encode(base64.b64decode(bundle.payload) + b" ").decode()
        ),
        "key": wire.SignedPolicy("k2", bundle.signature, bundle.payload),
        "base64": wire.SignedPolicy("k1", "%%%", bundle.payload),
    }[broken]
    status = keeper.consider(FetchedBundle(forged, "etag"))
    assert status is not None
    assert (status.number, status.state) == (4, "rejected")
    assert number_of(keeper) == number_of(PolicyKeeper(state, [portal.key])) == 3
    assert keeper.considered == "etag"


def test_a_signed_document_that_is_not_a_policy_is_rejected_with_its_errors(
    keeper: PolicyKeeper, portal: FakePortal
) -> None:
    payload = wire.BundlePayload(4, "0" * 64, NEW, False, {"schema": 1, "rules": [{}], "default": {"action": "panic"}})
    status = keeper.consider(FetchedBundle(portal.sign(msgspec.json.encode(payload)), "e"))
    assert status is not None
    assert status.state == "rejected"
    assert "default: action" in status.error
    assert len(status.error) <= 2_000
    assert keeper.current is None


def test_rules_that_are_disabled_for_older_sensors_alone_are_in_force(keeper: PolicyKeeper, portal: FakePortal) -> None:
    scope = [{"property": "written_by_parent", "any_of": [{"operator": "equals", "value": "apt-get"}]}]
    rule = policy.default_document()["rules"][0] | {"process_scope": scope}
    document = policy.normalise(policy.default_document() | {"rules": [rule, rule | {"id": "r2", "name": "2"}]})
    sent = decisive_document(document)
    payload = wire.BundlePayload(4, "0" * 64, NEW, False, sent, lineage_rules=[rule["id"]])
    keeper.consider(FetchedBundle(portal.sign(msgspec.json.encode(payload)), "e"))
    assert keeper.current is not None
    assert [each["enabled"] for each in keeper.current.document["rules"]] == [True, False]
    event = {"provider": "aws", "namespace": "kube-system", "written_by_parent": "apt-get"}
    assert keeper.current.policy.decide(event).rule == rule["id"]


def test_a_bundle_whose_time_has_no_time_zone_is_rejected(keeper: PolicyKeeper, portal: FakePortal) -> None:
    offer(keeper, portal, 3)
    status = offer(keeper, portal, 3, created_at=NEW.replace(tzinfo=None))
    assert status is not None
    assert (status.state, status.error) == ("rejected", "created_at has no time zone")


def test_a_bundle_whose_expiry_has_no_time_zone_is_rejected(keeper: PolicyKeeper, portal: FakePortal) -> None:
    payload = wire.BundlePayload(
        3, "0" * 64, NEW, False, policy.default_document(), expires_at=NEW.replace(tzinfo=None)
    )
    status = keeper.consider(FetchedBundle(portal.sign(msgspec.json.encode(payload)), "e"))
    assert status is not None
    assert (status.state, status.error) == ("rejected", "expires_at has no time zone")


def test_the_bundle_in_force_may_arrive_again(keeper: PolicyKeeper, portal: FakePortal) -> None:
    first = offer(keeper, portal, 3)
    assert offer(keeper, portal, 3) == first


def test_a_rejection_for_many_reasons_is_one_that_the_portal_accepts(keeper: PolicyKeeper, portal: FakePortal) -> None:
    document = {"schema": 1, "rules": [{"name": f"rule {place}"} for place in range(200)], "default": {}}
    payload = wire.BundlePayload(4, "0" * 64, NEW, False, document)
    status = keeper.consider(FetchedBundle(portal.sign(msgspec.json.encode(payload)), "e"))
    assert status is not None
    assert msgspec.json.decode(msgspec.json.encode(status), type=wire.PolicyStatus) == status


def test_an_unreadable_signed_payload_has_no_version_to_report(keeper: PolicyKeeper, portal: FakePortal) -> None:
    assert keeper.consider(FetchedBundle(portal.sign(b'{"number":"x"}'), "e")) is None
    assert keeper.consider(FetchedBundle(portal.sign(b"\xff"), "e")) is None


def test_a_policy_that_cannot_be_stored_is_not_applied(
    keeper: PolicyKeeper, portal: FakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status = offer(keeper, portal, 3)
    assert status is not None
    assert status.state == "rejected"
    assert keeper.current is None


def test_the_policy_in_force_cannot_be_changed_in_place(keeper: PolicyKeeper, portal: FakePortal) -> None:
    offer(keeper, portal, 3)
    assert keeper.current is not None
    with pytest.raises(dataclasses.FrozenInstanceError):
        keeper.current.number = 4  # type: ignore[misc]


def test_keys_rotate_while_sensors_follow(keeper: PolicyKeeper, portal: FakePortal, state: StateDirectory) -> None:
    offer(keeper, portal, 3, keys=["k1", "k2"])
    assert keeper.key_ids == ["k1", "k2"]
    portal.signer = "k2"
    offer(keeper, portal, 4, keys=["k2", "k1"])
    offer(keeper, portal, 5, keys=["k2"])
    assert (number_of(keeper), keeper.key_ids) == (5, ["k2"])

    again = PolicyKeeper(state, [portal.public("k1")])
    assert (number_of(again), again.key_ids) == (5, ["k2"])


def test_a_retired_key_stays_rejected_where_the_stored_policy_cannot_be_used(
    keeper: PolicyKeeper, portal: FakePortal, state: StateDirectory
) -> None:
    offer(keeper, portal, 3, keys=["k1", "k2"])
    portal.signer = "k2"
    offer(keeper, portal, 4, keys=["k2"])
    stored = state.policy()
    assert stored is not None
    state.save_policy(msgspec.structs.replace(stored, bundle=wire.SignedPolicy("k2", "", "")))

    again = PolicyKeeper(state, [portal.public("k1")])

    assert (again.current, again.key_ids) == (None, ["k2"])


def test_a_retired_key_is_no_longer_accepted(keeper: PolicyKeeper, portal: FakePortal) -> None:
    offer(keeper, portal, 3, keys=["k1", "k2"])
    portal.signer = "k2"
    offer(keeper, portal, 4, keys=["k2"])
    portal.signer = "k1"

    status = offer(keeper, portal, 5, keys=["k1"])

    assert status is not None
    assert (status.state, number_of(keeper), keeper.key_ids) == ("rejected", 4, ["k2"])
    assert "enrol this node again" in status.error


def test_a_new_key_needs_the_signature_of_a_known_key(keeper: PolicyKeeper, portal: FakePortal) -> None:
    portal.public("stranger")
    portal.signer = "stranger"

    offer(keeper, portal, 3, keys=["k1", "stranger"])

    assert (number_of(keeper), keeper.key_ids) == (None, ["k1"])


def test_a_key_set_without_its_own_signing_key_is_rejected(keeper: PolicyKeeper, portal: FakePortal) -> None:
    status = offer(keeper, portal, 3, keys=["k2"])

    assert status is not None
    assert (status.state, keeper.key_ids) == ("rejected", ["k1"])
    assert "not among the keys" in status.error


def test_a_key_set_with_another_key_under_the_name_of_the_signing_one_is_rejected(
    keeper: PolicyKeeper, portal: FakePortal
) -> None:
    other = msgspec.structs.replace(portal.public("k2"), key_id="k1")
    payload = wire.BundlePayload(3, "0" * 64, NEW, False, policy.default_document(), keys=[other])

    keeper.consider(FetchedBundle(portal.sign(msgspec.json.encode(payload)), "e"))

    assert keeper.current is None
    offer(keeper, portal, 4)
    assert number_of(keeper) == 4


def test_an_older_key_set_is_rejected_with_its_bundle(keeper: PolicyKeeper, portal: FakePortal) -> None:
    offer(keeper, portal, 3, keys=["k1"], created_at=NEW)

    offer(keeper, portal, 3, keys=["k1", "k2"], created_at=OLD)

    assert keeper.key_ids == ["k1"]


def test_a_bundle_without_keys_changes_no_keys(keeper: PolicyKeeper, portal: FakePortal, state: StateDirectory) -> None:
    offer(keeper, portal, 3, keys=["k1", "k2"])
    offer(keeper, portal, 4)
    assert PolicyKeeper(state, [portal.public("k1")]).key_ids == ["k1", "k2"]


def test_a_new_enrolment_replaces_the_keys(tmp_path: Path, portal: FakePortal) -> None:
    state = enrolled(tmp_path / "enrolled", portal)
    identity = state.identity()
    assert identity is not None
    offer(PolicyKeeper(state, identity.keys), portal, 3, keys=["k1", "k2"])

    state.save_identity(msgspec.structs.replace(identity, keys=[portal.public("k9")]))

    again = state.identity()
    assert again is not None
    assert PolicyKeeper(state, again.keys).key_ids == ["k9"]
