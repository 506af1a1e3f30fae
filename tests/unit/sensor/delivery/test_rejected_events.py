"""Events that the portal rejected are kept for an administrator, bounded and counted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sensor.delivery.rejected_events import RejectedEvents


def test_a_rejected_event_is_kept_with_the_reason(tmp_path: Path) -> None:
    kept = RejectedEvents(tmp_path / "set-aside.jsonl")
    kept.add(b'{"event_id":"1"}', "invalid", "process.path", "too long")
    entry = json.loads((tmp_path / "set-aside.jsonl").read_text())
    assert entry.pop("at").endswith("Z")
    assert entry == {"code": "invalid", "field": "process.path", "message": "too long", "event": {"event_id": "1"}}
    assert (kept.count, kept.unkept) == (1, 0)


def test_the_newest_are_kept_within_the_bound(tmp_path: Path) -> None:
    kept = RejectedEvents(tmp_path / "set-aside.jsonl", max_bytes=1_000)
    for number in range(100):
        kept.add(b'{"n":%d}' % number, "invalid", None, "")
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["set-aside.1.jsonl", "set-aside.jsonl"]
    assert all(path.stat().st_size <= 1_000 for path in files)
    assert json.loads(files[1].read_text().splitlines()[-1])["event"] == {"n": 99}
    assert kept.count == 100


def test_a_full_disk_is_counted_and_interrupts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    kept = RejectedEvents(tmp_path / "set-aside.jsonl")
    monkeypatch.setattr(os, "fsync", full)
    kept.add(b"{}", "invalid", None, "")
    assert (kept.count, kept.unkept) == (1, 1)


@pytest.mark.parametrize("before", [False, True])
def test_only_its_owner_can_read_it_even_in_a_readable_directory(tmp_path: Path, before: bool) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "set-aside.jsonl"
    if before:
        path.touch(0o644)
    RejectedEvents(path).add(b"{}", "invalid", None, "")
    assert path.stat().st_mode & 0o777 == 0o600
