"""The hold server of the tests about held execs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sensor.blocking.checked_box import Box
from tests.unit.sensor.blocking.hold_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    made.put(made.lower, "bin/tool", b"the image's tool")
    made.put(made.lower, "opt/run.sh", b"#!/bin/sh\n")
    yield made
    made.close()
