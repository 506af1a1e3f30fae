"""Bundles are dated anew every day, so that a sensor that is kept on an old one is seen by both sides."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.utils import timezone

from drift.fleet.actions.blocking_switch import stop_all_blocking
from drift.fleet.actions.bundles import ensure_signing_key, signed_bundle
from drift.fleet.actions.refresh_bundles import delete_old_bundles, refresh_bundles
from drift.fleet.models import Bundle, Sensor, SigningKey
from sensor import wire
from sensor.agent.policy_in_force import PolicyKeeper
from sensor.delivery.client import FetchedBundle
from sensor.operations.state_directory import StateDirectory
from tests.unit.drift.fleet import estate
from tests.unit.drift.health.found import codes

pytestmark = [pytest.mark.services, pytest.mark.django_db]
DAY = dt.timedelta(days=1)


@pytest.fixture
def key() -> SigningKey:
    return ensure_signing_key()


@pytest.fixture
def keeper(key: SigningKey, tmp_path: Path) -> PolicyKeeper:
    return PolicyKeeper(
        StateDirectory(tmp_path), [wire.PublicKey(key.key_id, base64.b64encode(bytes(key.public_key)).decode())]
    )


def fetched(bundle: Bundle) -> FetchedBundle:
    signature, payload = (base64.b64encode(bytes(raw)).decode() for raw in (bundle.signature, bundle.payload))
    return FetchedBundle(wire.SignedPolicy(bundle.key_id, signature, payload), bundle.etag)


def payload(bundle: Bundle) -> wire.BundlePayload:
    return msgspec.json.decode(bytes(bundle.payload), type=wire.BundlePayload)


def made(ago: dt.timedelta) -> None:
    """Let there be a bundle that was made so long ago."""
    signed_bundle(1)
    Bundle.objects.update(created_at=timezone.now() - ago)


def test_a_bundle_expires_a_week_after_its_date(key: SigningKey) -> None:
    dated = payload(signed_bundle(1))

    assert dated.expires_at is not None
    assert dated.expires_at - dated.created_at == dt.timedelta(days=7)


def test_bundles_are_dated_anew_once_a_day_and_sensors_apply_the_later_one(
    key: SigningKey, keeper: PolicyKeeper
) -> None:
    first = signed_bundle(1)
    keeper.consider(fetched(first))

    assert refresh_bundles()
    assert not refresh_bundles()

    second = signed_bundle(1)
    assert second.etag != first.etag
    status = keeper.consider(fetched(second))
    assert status is not None and (status.state, status.number) == ("applied", 1)
    assert payload(second).expires_at > payload(first).expires_at  # type: ignore[operator]


def test_a_replayed_earlier_bundle_is_rejected_after_the_refresh(key: SigningKey, keeper: PolicyKeeper) -> None:
    first = signed_bundle(1)
    refresh_bundles()
    keeper.consider(fetched(signed_bundle(1)))

    status = keeper.consider(fetched(first))

    assert status is not None and status.state == "rejected"


def test_a_sensor_with_an_expired_bundle_goes_on_with_it(key: SigningKey, keeper: PolicyKeeper) -> None:
    keeper.consider(fetched(signed_bundle(1)))

    assert keeper.current is not None
    assert keeper.current.number == 1
    assert keeper.current.is_expired(dt.datetime.now(dt.UTC) + 8 * DAY)
    assert not keeper.current.is_expired(dt.datetime.now(dt.UTC) + 6 * DAY)


def frozen_sensor() -> Sensor:
    """A sensor at work that acknowledged its last bundle eight days ago."""
    row, _ = estate.sensor(estate.cluster(), bundle_at=timezone.now() - 8 * DAY, applied_number=1)
    estate.seen(row)
    return row


@pytest.fixture
def reading(django_user_model: Any) -> Client:
    client = Client()
    client.force_login(django_user_model.objects.create(email="r@b.example", name="R", role="reader"))
    return client


def test_fleet_health_lists_a_sensor_that_is_kept_on_an_old_bundle(key: SigningKey, reading: Client) -> None:
    row = frozen_sensor()
    made(2 * DAY)

    assert "expired" in codes(reading)
    assert "expired" in estate.text_of(reading.get(f"/sensors/{row.pk}/"))


def test_no_sensor_is_listed_while_there_is_no_newer_bundle_or_it_was_just_made(
    key: SigningKey, reading: Client
) -> None:
    frozen_sensor()
    assert "expired" not in codes(reading)

    made(dt.timedelta(minutes=5))
    assert "expired" not in codes(reading)


def test_a_sensor_with_a_recent_bundle_is_not_listed(key: SigningKey, reading: Client) -> None:
    row = frozen_sensor()
    Sensor.objects.filter(pk=row.pk).update(bundle_at=timezone.now() - 6 * DAY)
    made(2 * DAY)

    assert "expired" not in codes(reading)


def test_bundles_of_long_ago_are_deleted_and_made_again_when_needed(key: SigningKey) -> None:
    signed_bundle(1)
    Bundle.objects.update(created_at=timezone.now() - 36 * DAY)

    assert delete_old_bundles() == 1
    refresh_bundles()
    assert signed_bundle(1).pk
    assert delete_old_bundles() == 0


def test_the_stop_of_blocking_still_follows_a_refresh(key: SigningKey, django_user_model: Any) -> None:
    refresh_bundles()
    before = payload(signed_bundle(1))
    stop_all_blocking(django_user_model.objects.create(email="a@b.example", name="A", role="admin"))
    after = payload(signed_bundle(1))

    assert after.blocking_stopped
    assert after.created_at > before.created_at
