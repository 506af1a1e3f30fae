"""A fake portal, and the parts of a sensor enrolled with it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.state import Identity, State
from sensor.wire import ClusterInfo
from tests.unit.sensor.fake_portal import CREDENTIAL, FakePortal


@pytest.fixture
def portal() -> Iterator[FakePortal]:
    with FakePortal().serving() as serving:
        yield serving


@pytest.fixture
def state(tmp_path: Path, portal: FakePortal) -> State:
    """The state folder of a sensor enrolled with the fake portal."""
    kept = State(tmp_path / "state")
    kept.save_identity(
        Identity(
            sensor_id=uuid.UUID(int=7),
            credential=CREDENTIAL,
            provider="azure",
            account="sub-1",
            cluster_name="prod",
            keys=[portal.key],
            api_url=portal.url,
            node="n1",
            cluster=ClusterInfo("prod", "aks", "v1.31.2"),
        )
    )
    return kept
