"""What worker and beat report of themselves, and when they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drift import queue
from drift.health.actions import process_reports
from drift.health.actions.process_reports import HANGS_AFTER, Reporter, write_report
from drift.health.domain.process_reports import KEPT, KEY, ProcessReport, decode_reports, encode_report, is_live
from drift.health.domain.task_reports import overdue_tasks

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def _empty() -> None:
    queue.redis_client().delete(KEY)


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(process_reports.time, "monotonic", made.monotonic)  # type: ignore[attr-defined]
    return made


def test_a_report_is_dated_by_redis_and_replaces_the_one_before() -> None:
    client = queue.redis_client()
    for _ in range(2):
        write_report(client, "worker", 0.0)
    (report,) = decode_reports(client.hgetall(KEY))["worker"]  # type: ignore[arg-type]
    seconds, _ = client.time()
    assert 0 <= seconds - report.at + 1 < 60
    assert report.resident_bytes > 1024 * 1024


def test_what_is_long_gone_or_cannot_be_read_is_removed() -> None:
    client = queue.redis_client()
    seconds, _ = client.time()
    client.hset(KEY, "worker:gone:1", encode_report(ProcessReport(seconds - KEPT - 60)))
    client.hset(KEY, "worker:recent:1", encode_report(ProcessReport(seconds - KEPT + 60)))
    unreadable = (b"{", b'{"at":1,"version":"\xff"}', b'{"at":1,"more":' + b"[" * 10_000 + b"]" * 10_000 + b"}")
    for number, raw in enumerate(unreadable):
        client.hset(KEY, f"beat:broken:{number}", raw)
    assert decode_reports(client.hgetall(KEY))["beat"] == []  # type: ignore[arg-type]

    write_report(client, "worker", 0.0)

    names = {name.decode().rpartition(":")[0] for name in client.hkeys(KEY)}  # type: ignore[union-attr]
    assert {"worker:gone", "beat:broken"}.isdisjoint(names)
    assert "worker:recent" in names


def test_a_loop_that_hangs_is_not_alive_and_one_that_waits_for_redis_is(clock: Clock, settings: Any) -> None:
    reporter = Reporter("worker")
    client = queue.new_redis_client()
    assert reporter._is_alive(client)

    clock.now += HANGS_AFTER
    assert not reporter._is_alive(client)

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert reporter._is_alive(queue.new_redis_client())
    # Redis is back: the loop has as long again to turn.
    assert reporter._is_alive(client)
    clock.now += HANGS_AFTER
    assert not reporter._is_alive(client)


def test_the_file_for_probes_is_touched_only_where_it_is_configured(tmp_path: Path, caplog: Any) -> None:
    process_reports._touch("")
    process_reports._touch(str(tmp_path / "alive"))
    process_reports._touch(str(tmp_path / "no" / "alive"))
    assert [each.name for each in tmp_path.iterdir()] == ["alive"]
    assert "ALIVE_FILE cannot be touched" in caplog.text


@pytest.mark.parametrize(("ago", "live"), [(0, True), (9, True), (11, False), (-9, True), (-11, False), (-3600, False)])
def test_a_report_counts_while_it_is_young_also_where_redis_set_its_clock_back(ago: float, live: bool) -> None:
    assert is_live(ProcessReport(1_000.0 - ago), 1_000.0) is live


def test_a_task_that_ended_before_redis_set_its_clock_back_is_overdue_in_time() -> None:
    periods, now = {"sweep": 10.0}, 10_000.0
    assert overdue_tasks(periods, {"sweep": now + 3_600}, now, now - 80) == {}
    assert overdue_tasks(periods, {"sweep": now + 3_600}, now, now - 100) == {"sweep": 100.0}
    assert overdue_tasks(periods, {"sweep": now + 1}, now, now - 100) == {}
