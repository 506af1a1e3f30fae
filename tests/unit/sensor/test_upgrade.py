"""A sensor continues on the state directory that version 0.1.0 left (tests/golden/state-0.1)."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import msgspec
import pytest

from sensor import wire
from sensor.delivery.aggregation import Aggregator
from sensor.delivery.spool import Spool
from sensor.operations.state_directory import StateDirectory

LEFT = Path(__file__).parents[2] / "golden/state-0.1"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LEFT, tmp_path / "state"))


def test_the_node_stays_enrolled_and_keeps_its_policy_and_keys(directory: Path) -> None:
    state = StateDirectory(directory)
    identity, policy = state.identity(), state.policy()
    assert identity is not None
    assert (identity.sensor_id, identity.credential, identity.node) == (uuid.UUID(int=7), "credential", "n1")
    assert policy is not None
    assert (policy.etag, policy.bundle.key_id, [key.key_id for key in policy.keys]) == ("etag", "k1", ["k2"])


def test_spooled_events_are_still_sent(directory: Path) -> None:
    spool = Spool(directory / "spool")
    segment = spool.oldest()
    assert segment is not None
    assert [wire.decode_event(line).event_id for line in segment.lines()] == [uuid.UUID(int=1)]
    assert spool.broken == 0


def test_counts_go_on_under_the_same_ids_and_no_event_counts_twice(directory: Path) -> None:
    aggregator = Aggregator(directory / "folds", "boot")
    (window,) = aggregator.closed
    (summary,) = window.summaries()
    assert (str(summary.event_id), summary.count) == ("5be788a9-2e2b-500f-b377-a8fc4ba343ce", 3)
    assert msgspec.json.decode(msgspec.json.encode(summary), type=wire.Event) == summary
    assert aggregator.counted == {uuid.UUID(int=4)}
    assert aggregator.spooled == {uuid.UUID(int=5)}
    assert aggregator.broken == 0
