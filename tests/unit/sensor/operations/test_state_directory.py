"""A sensor's files on disk are complete, private, and used by one process."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

import pytest

from sensor.files.durable import write_atomically
from sensor.operations.state_directory import SensorIdentity, StateDirectory, StateError, StoredPolicy
from sensor.wire import ClusterInfo, PublicKey, SignedPolicy

IDENTITY = SensorIdentity(
    sensor_id=uuid.UUID(int=1),
    credential="dws_1",
    provider="azure",
    account="sub-1",
    cluster_name="prod",
    keys=[PublicKey("k", "AAAA")],
    api_url="http://127.0.0.1/api/v1",
    node="n1",
    cluster=ClusterInfo("prod", "aks", "v1.31.2"),
)

DAMAGED = (b"{", b"\xff", b'{"etag": "\xff"}', b'{"credential": "\xff"}', b'{"more":' + b"[" * 100_000)


def test_before_enrolment_it_is_empty(tmp_path: Path) -> None:
    kept = StateDirectory(tmp_path / "new" / "directory")
    assert (kept.identity(), kept.policy(), kept.revoked) == (None, None, False)


def test_the_identity_is_read_back_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    StateDirectory(tmp_path / "s").save_identity(IDENTITY)
    assert StateDirectory(tmp_path / "s").identity() == IDENTITY
    assert stat.S_IMODE((tmp_path / "s" / "identity.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700


def test_enrolling_again_lifts_a_revocation(tmp_path: Path) -> None:
    kept = StateDirectory(tmp_path)
    kept.revoke()
    assert StateDirectory(tmp_path).revoked
    kept.save_identity(IDENTITY)
    assert not StateDirectory(tmp_path).revoked


def test_the_policy_is_read_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    kept, stored = StateDirectory(tmp_path), StoredPolicy('"e"', SignedPolicy("k", "s", "p"))
    kept.save_policy(stored)
    assert kept.policy() == stored
    for damaged in DAMAGED:
        (tmp_path / "policy.json").write_bytes(damaged)
        assert kept.policy() is None


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_identity_is_reported_by_its_path(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "identity.json").write_bytes(damaged)
    with pytest.raises(StateError, match="damaged; enrol this node again"):
        StateDirectory(tmp_path).identity()


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"old")

    def crash(_: int) -> None:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="I/O"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_two_sensors_never_share_a_directory(tmp_path: Path) -> None:
    first, second = StateDirectory(tmp_path), StateDirectory(tmp_path)
    with first.lock(), pytest.raises(StateError, match="another sensor is running"), second.lock():
        pass
    with second.lock():
        pass


def test_a_directory_that_cannot_be_created_is_reported_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot create the state directory"):
        StateDirectory(tmp_path / "file" / "state")
