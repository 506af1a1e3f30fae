"""What a worker cannot acknowledge ends its connection: else it would wait for that task for good."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency import prefork
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.asynchronous.hub import Hub
from kombu.message import Message
from redis.exceptions import TimeoutError as RedisTimeoutError

from portal import signed_consumer
from portal.signed_consumer import SignedConsumer
from portal.task_signatures import sign

BODY = "[[], {}, {}]"
LOG = logging.getLogger("celery.worker.request")


class Channel:
    """Collects what is settled; of a Redis that is away, it raises then."""

    no_ack_consumers = None

    def __init__(self, settled: list[str], *, is_away: bool = False) -> None:
        self.settled, self.is_away = settled, is_away

    def basic_ack(self, tag: str, *, multiple: bool = False) -> None:
        self.settled.append(tag)
        if self.is_away:
            raise RedisTimeoutError("no answer")

    def basic_reject(self, tag: str, *, requeue: bool = False) -> None:
        self.basic_ack(tag)


def message(*, is_signed: bool = True) -> Message:
    found = Message(BODY, "1", channel=Channel([], is_away=True), headers={"id": "1", "task": "fleet.sweep"})
    if is_signed:
        sign(found.headers, BODY, "key")
    return found


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    monkeypatch.setattr(Consumer, "create_task_handler", lambda self: lambda message: message)
    monkeypatch.setattr(signed_consumer, "settings", SimpleNamespace(SECRET_KEY="key", SECRET_KEY_FALLBACKS=[]))
    consumer = SignedConsumer.__new__(SignedConsumer)
    consumer.refused, consumer.connection_errors = 0, (RedisTimeoutError,)  # type: ignore[attr-defined]
    return consumer.create_task_handler()


def test_an_acknowledgement_without_an_answer_ends_the_connection(take: Callable[[Any], Any]) -> None:
    taken = take(message())
    with pytest.raises(RedisTimeoutError):
        taken.ack_log_error(LOG, (RedisTimeoutError,))
    with pytest.raises(RedisTimeoutError):
        taken.reject_log_error(LOG, (RedisTimeoutError,), requeue=True)


def test_so_does_that_of_a_forged_message(take: Callable[[Any], Any]) -> None:
    with pytest.raises(RedisTimeoutError):
        take(message(is_signed=False))


@pytest.mark.parametrize("method", ["ack_log_error", "reject_log_error"])
def test_a_pool_that_stops_still_reports_the_ends_of_finished_tasks(take: Callable[[Any], Any], method: str) -> None:
    settled, hub = list[str](), Hub()
    for _ in range(3):
        taken = take(message())
        taken.channel = Channel(settled)
        hub.call_soon(getattr(taken, method), LOG, (RedisTimeoutError,))
    prefork._run_ready_callbacks(hub)  # type: ignore[attr-defined]
    assert settled == ["1", "1", "1"]


@pytest.mark.parametrize("way", ["should_stop", "should_terminate"])
def test_a_worker_that_stops_goes_on_to_the_other_tasks(
    take: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(state, way, 0)
    tried, hub = list[str](), Hub()
    for _ in range(3):
        taken = take(message())
        taken.channel = Channel(tried, is_away=True)
        hub.call_soon(taken.ack_log_error, LOG, (RedisTimeoutError,))
    hub.close()
    assert tried == ["1", "1", "1"]


def test_attempts_to_reach_redis_are_five_seconds_apart_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(Consumer, "ensure_connected", lambda self, conn: conn.ensure_connection(None, None))
    conn = SimpleNamespace(ensure_connection=lambda *args, **options: given.update(options))
    SignedConsumer.__new__(SignedConsumer).ensure_connected(conn)
    assert given == {"interval_max": 5}
