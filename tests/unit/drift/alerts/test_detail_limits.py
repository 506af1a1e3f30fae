"""How much detail of a flood is kept, with several web processes."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import redis
from django.conf import settings

from drift import queue
from drift.alerts.actions import detail_limits
from drift.alerts.domain.fingerprint_counters import FingerprintCounter

pytestmark = pytest.mark.services
LIMIT = 1_000
HOUR = 500_000


class Process:
    """One web process's memory of a fingerprint, and the door that its batches pass."""

    def __init__(self, fingerprint: uuid.UUID) -> None:
        self.counter = FingerprintCounter(fingerprint)

    def store(self, size: int) -> int:
        """Store a batch of so many events; return how many keep their detail."""
        kept = sum(self.counter.admits(HOUR, place, LIMIT) for place in range(1, size + 1))
        detail_limits.count_stored([self.counter] * size, LIMIT)
        return kept


@pytest.fixture(autouse=True)
def _one_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detail_limits, "clock_hour", lambda: HOUR)
    monkeypatch.setattr(detail_limits, "shared_counts", detail_limits.SharedCounts())


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[redis.Redis]:
    calls: list[redis.Redis] = []
    real = queue.redis_client

    def client() -> redis.Redis:
        calls.append(real())
        return calls[-1]

    monkeypatch.setattr(queue, "redis_client", client)
    return calls


def flood(processes: list[Process], batches: int, size: int) -> int:
    return sum(process.store(size) for _ in range(batches) for process in processes)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 30, 99])
def test_all_processes_together_keep_the_limit_and_little_more(count: int, size: int) -> None:
    fingerprint = uuid.uuid4()
    kept = flood([Process(fingerprint) for _ in range(count)], 3_000 // (count * size) + 3, size)

    most = LIMIT + (count - 1) * (detail_limits.SHARED_FROM + size)
    assert LIMIT <= kept <= most


def test_fingerprints_do_not_use_up_each_others_share() -> None:
    flood([Process(uuid.uuid4())], 4, 500)

    assert Process(uuid.uuid4()).store(LIMIT) == LIMIT


def test_the_next_hour_starts_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(uuid.uuid4())
    flood([process], 4, 500)
    monkeypatch.setattr(detail_limits, "clock_hour", lambda: HOUR + 1)
    detail_limits.count_stored([process.counter], LIMIT)

    assert process.counter.stored(HOUR + 1) == 1


def test_rare_events_and_those_past_the_limit_make_no_redis_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    process = Process(uuid.uuid4())
    process.store(detail_limits.SHARED_FROM - 1)
    assert len(calls) == 0
    process.store(LIMIT)
    assert len(calls) == 1
    process.store(LIMIT)
    assert len(calls) == 1


def test_without_redis_each_process_counts_alone_and_retries_later(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    calls = count_calls(monkeypatch)
    fingerprint = uuid.uuid4()

    assert flood([Process(fingerprint), Process(fingerprint)], 20, 100) == 2 * LIMIT
    assert len(calls) == 1


def test_counts_in_redis_expire() -> None:
    process = Process(uuid.uuid4())
    process.store(200)
    name = detail_limits.KEY.format(hour=HOUR, fingerprint=process.counter.fingerprint)

    assert 0 < int(redis.Redis.from_url(settings.REDIS_URL).ttl(name)) <= 7_200
