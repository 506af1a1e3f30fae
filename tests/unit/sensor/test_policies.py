"""A sensor obeys what the portal signed, newest first, and otherwise goes on with what it has."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import os
from typing import Any

import msgspec
import pytest

from sensor import policy, wire
from sensor.agent.policies import PolicyKeeper
from sensor.client import Fetched
from sensor.state import State, StoredPolicy
from tests.unit.sensor.fake_portal import FakePortal

OLD = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
NEW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)


@pytest.fixture
def keeper(state: State, portal: FakePortal) -> PolicyKeeper:
    return PolicyKeeper(state, [portal.key])


def offer(keeper: PolicyKeeper, portal: FakePortal, number: int, **more: Any) -> wire.PolicyStatus | None:
    return keeper.consider(Fetched(portal.publish(number, **more), portal.etag))


def number_of(keeper: PolicyKeeper) -> int | None:
    return keeper.current.number if keeper.current else None


def test_a_signed_bundle_is_applied_and_said_to_be(keeper: PolicyKeeper, portal: FakePortal) -> None:
    document = {**policy.default_document(), "detect": ["fileless"]}
    status = offer(keeper, portal, 3, document=document, blocking_stopped=True)
    assert status == wire.PolicyStatus(3, policy.digest(policy.normalise(document)), "applied")
    assert keeper.current is not None
    assert (keeper.current.number, keeper.current.etag) == (3, portal.etag)
    assert keeper.current.detect == {"fileless"}
    assert keeper.current.blocking_stopped


def test_the_policy_applied_last_is_there_at_the_next_start(
    keeper: PolicyKeeper, portal: FakePortal, state: State
) -> None:
    offer(keeper, portal, 3)
    again = PolicyKeeper(state, [portal.key])
    assert number_of(again) == 3
    assert again.status() == keeper.status()
    assert again.considered == portal.etag


def test_a_policy_on_disk_that_somebody_changed_is_not_used(
    keeper: PolicyKeeper, portal: FakePortal, state: State
) -> None:
    bundle = portal.publish(3)
    forged = base64.b64encode(base64.b64decode(bundle.payload).replace(b'"number":3', b'"number":4')).decode()
    state.save_policy(StoredPolicy(portal.etag, wire.Bundle("k1", bundle.signature, forged)))
    assert PolicyKeeper(state, [portal.key]).current is None


@pytest.mark.parametrize(
    ("number", "created_at", "obeyed"),
    [(6, OLD, True), (5, NEW, True), (5, OLD, False), (4, NEW, False)],
)
def test_only_a_newer_bundle_is_obeyed(
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
def test_a_bundle_that_nobody_signed_is_refused(
    keeper: PolicyKeeper, portal: FakePortal, state: State, broken: str
) -> None:
    offer(keeper, portal, 3)
    bundle = portal.publish(4)
    other = FakePortal().publish(4)
    forged = {
        "signature": wire.Bundle("k1", other.signature, bundle.payload),
        "payload": wire.Bundle(
            "k1", bundle.signature, base64.b64encode(base64.b64decode(bundle.payload) + b" ").decode()
        ),
        "key": wire.Bundle("k2", bundle.signature, bundle.payload),
        "base64": wire.Bundle("k1", "%%%", bundle.payload),
    }[broken]
    status = keeper.consider(Fetched(forged, "etag"))
    assert status is not None
    assert (status.number, status.state) == (4, "rejected")
    assert number_of(keeper) == number_of(PolicyKeeper(state, [portal.key])) == 3
    assert keeper.considered == "etag"


def test_a_signed_document_that_is_no_policy_is_rejected_with_its_faults(
    keeper: PolicyKeeper, portal: FakePortal
) -> None:
    payload = wire.BundlePayload(4, "0" * 64, NEW, False, {"schema": 1, "rules": [{}], "default": {"action": "panic"}})
    status = keeper.consider(Fetched(portal.sign(msgspec.json.encode(payload)), "e"))
    assert status is not None
    assert status.state == "rejected"
    assert "default: action" in status.error
    assert len(status.error) <= 2_000
    assert keeper.current is None


def test_a_bundle_whose_time_has_no_zone_is_refused(keeper: PolicyKeeper, portal: FakePortal) -> None:
    offer(keeper, portal, 3)
    status = offer(keeper, portal, 3, created_at=NEW.replace(tzinfo=None))
    assert status is not None
    assert (status.state, status.error) == ("rejected", "created_at has no time zone")


def test_a_signed_payload_that_is_none_cannot_even_be_named(keeper: PolicyKeeper, portal: FakePortal) -> None:
    assert keeper.consider(Fetched(portal.sign(b'{"number":"x"}'), "e")) is None
    assert keeper.consider(Fetched(portal.sign(b"\xff"), "e")) is None


def test_a_policy_that_cannot_be_kept_is_not_applied(
    keeper: PolicyKeeper, portal: FakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status = offer(keeper, portal, 3)
    assert status is not None
    assert status.state == "rejected"
    assert keeper.current is None


def test_what_is_in_force_cannot_be_changed_in_place(keeper: PolicyKeeper, portal: FakePortal) -> None:
    offer(keeper, portal, 3)
    assert keeper.current is not None
    with pytest.raises(dataclasses.FrozenInstanceError):
        keeper.current.number = 4  # type: ignore[misc]
