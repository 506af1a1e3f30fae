"""Fixtures of the image test on layers in a directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor.files.hashing import Hasher
from tests.unit.sensor.judgement.box import Box, Judge


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture
def judge(box: Box) -> Judge:
    """A judge with the record of the box's writers."""
    return Judge(Hasher(records=box.records))


@pytest.fixture
def unrecorded() -> Judge:
    """A judge on a kernel that records no writers."""
    return Judge(Hasher())
