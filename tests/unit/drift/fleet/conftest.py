"""Fixtures of the fleet's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from drift import queue
from drift.fleet.actions import bundles, heartbeats, pushes, sensor_processes
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import Cluster, EnrolmentToken
from tests.unit.drift.fleet import estate


@pytest.fixture(autouse=True)
def _no_bundles_of_other_tests() -> None:
    """Version 1 is the same in every test, but its signing key is not."""
    bundles._cached_bundle.cache_clear()


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[PushMessage]:
    """The messages that would be published to the gateway."""
    messages: list[PushMessage] = []
    monkeypatch.setattr(pushes, "push_now", messages.append)
    return messages


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Callable[[], AbstractContextManager[None]]:
    """`with committed():` runs the on-commit callbacks of its transactions."""

    @contextmanager
    def block() -> Iterator[None]:
        with django_capture_on_commit_callbacks(execute=True):
            yield

    return block


@pytest.fixture
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep heartbeats of one test from the others."""
    monkeypatch.setattr(heartbeats, "_avoid_until", 0.0)
    client = queue.redis_client()
    keys = (heartbeats.HELD, heartbeats.TAKEN, heartbeats.FLUSHED, sensor_processes.HELD, sensor_processes.TAKEN)
    client.delete(*keys)
    yield
    client.delete(*keys)


@pytest.fixture
def cluster() -> Cluster:
    return estate.cluster()


@pytest.fixture
def token(cluster: Cluster) -> EnrolmentToken:
    return estate.token(cluster.environment)[0]


@pytest.fixture
def reading(reader: Any, client_of: Any) -> Any:
    """A client signed in as a Security Reader."""
    return client_of(reader)


@pytest.fixture
def managing(admin: Any, client_of: Any) -> Any:
    """A client signed in as a Security Admin."""
    return client_of(admin)
