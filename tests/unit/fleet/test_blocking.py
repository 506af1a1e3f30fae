"""The switch that stops all blocking."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from accounts.models import AuditEntry
from drift.fleet import push
from drift.fleet.actions import blocking
from drift.fleet.models import (
    FleetState,
)
from tests.unit.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Committed = Callable[[], AbstractContextManager[None]]
Queued = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def _no_redis(pushed: list[push.Message], queued: Queued) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_stopping_all_blocking_reaches_every_sensor_at_once(
    admin: Any, pushed: list[push.Message], committed: Committed
) -> None:
    epoch = FleetState.objects.get().epoch

    with committed():
        assert blocking.stop_all_blocking(admin) is True

    [message] = pushed
    assert (message.epoch, message.number, message.sensors) == (epoch + 1, 1, None)
    entry = AuditEntry.objects.get(object_type="blocking")
    assert (entry.verb, entry.before, entry.after) == (
        "stopped",
        {"blocking_stopped": False},
        {"blocking_stopped": True},
    )


def test_stopping_twice_is_the_same_as_once(admin: Any, pushed: list[push.Message], committed: Committed) -> None:
    with committed():
        blocking.stop_all_blocking(admin)
        assert blocking.stop_all_blocking(admin) is False

    assert len(pushed) == 1


@pytest.mark.django_db(transaction=True)
def test_of_administrators_who_stop_blocking_at_once_one_does(admin: Any) -> None:
    epoch = FleetState.objects.get().epoch

    done = estate.together(4, lambda _: blocking.stop_all_blocking(admin))

    assert sorted(done) == [False, False, False, True]
    assert FleetState.objects.get().epoch == epoch + 1
    assert AuditEntry.objects.filter(object_type="blocking").count() == 1
