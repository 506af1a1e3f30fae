"""Records appended to a file: whole lines, whatever happens to the disk."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone

from drift.siem.actions import forward
from drift.siem.models import SiemDestination
from tests.unit.drift.alerts.conftest import Estate
from tests.unit.drift.siem.conftest import drift

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Add = Callable[..., SiemDestination]


def test_a_file_gets_one_line_each_and_a_torn_line_is_replaced(estate: Estate, to: Add, tmp_path: Path) -> None:
    row = to()
    file = tmp_path / "alerts.jsonl"
    file.write_bytes(b'{"id":"whole"}\n{"id":"to')
    drift(estate, "xmrig", "name\nwith a break")
    assert forward.forward(row.pk) == 2
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0] == {"id": "whole"}
    assert len(lines) == 3
    assert file.stat().st_mode & 0o777 == 0o640 or file.stat().st_mode & 0o007 == 0o004

    file.rename(tmp_path / "alerts.jsonl.1")
    drift(estate, "kinsing")
    assert forward.forward(row.pk) == 1
    assert len(file.read_text().splitlines()) == 1


def test_a_full_disk_leaves_no_half_line_behind_and_loses_nothing(
    estate: Estate, to: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = to()
    drift(estate, "xmrig", "kinsing")
    write = os.write
    calls = []

    def full(opened: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return write(opened, data[: len(data) - 10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert forward.forward(row.pk) == 0
    row.refresh_from_db()
    assert row.error == "The file cannot be written: no space left on device."

    monkeypatch.setattr(os, "write", write)
    SiemDestination.objects.update(next_at=timezone.now() - dt.timedelta(seconds=1))
    assert forward.forward(row.pk) == 2
    ids = [json.loads(line)["id"] for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert len(ids) == 3
    assert len(set(ids)) == 2


def test_a_link_in_the_place_of_the_file_is_not_followed(estate: Estate, to: Add, tmp_path: Path) -> None:
    row = to()
    (tmp_path / "alerts.jsonl").symlink_to(tmp_path / "elsewhere")
    drift(estate, "xmrig")
    assert forward.forward(row.pk) == 0
    assert not (tmp_path / "elsewhere").exists()
