"""A fake portal, and a sensor enrolled with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.operations.state_directory import StateDirectory
from tests.unit.sensor.fake_portal import FakePortal
from tests.unit.sensor.makers import enrolled


@pytest.fixture
def portal() -> Iterator[FakePortal]:
    with FakePortal().serving() as serving:
        yield serving


@pytest.fixture
def state(tmp_path: Path, portal: FakePortal) -> StateDirectory:
    """The state directory of a sensor enrolled with the fake portal."""
    return enrolled(tmp_path / "state", portal)
