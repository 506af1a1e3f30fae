"""What a worker cannot acknowledge ends its connection: else it would wait for that task for good."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.consumer import Consumer
from redis.exceptions import TimeoutError as RedisTimeoutError

from portal import signed_consumer
from portal.signed_consumer import SignedConsumer
from portal.task_signatures import sign

BODY = "[[], {}, {}]"


class Message:
    """As kombu's, of a Redis that answers nothing."""

    def __init__(self) -> None:
        self.body, self.headers = BODY, {"id": "1", "task": "fleet.sweep"}

    def ack(self, *, multiple: bool = False) -> None:
        raise RedisTimeoutError("no answer")

    def reject(self, *, requeue: bool = False) -> None:
        raise RedisTimeoutError("no answer")

    def ack_log_error(self, *args: Any) -> None:
        """What kombu has: it logs the error."""

    reject_log_error = ack_log_error


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    monkeypatch.setattr(Consumer, "create_task_handler", lambda self: lambda message: message)
    monkeypatch.setattr(signed_consumer, "settings", SimpleNamespace(SECRET_KEY="key", SECRET_KEY_FALLBACKS=[]))
    consumer = SignedConsumer.__new__(SignedConsumer)
    consumer.refused, consumer.connection_errors = 0, (RedisTimeoutError,)  # type: ignore[attr-defined]
    return consumer.create_task_handler()


def test_an_acknowledgement_without_an_answer_ends_the_connection(take: Callable[[Any], Any]) -> None:
    message = Message()
    sign(message.headers, BODY, "key")
    taken = take(message)
    log = logging.getLogger("celery.worker.request")
    with pytest.raises(RedisTimeoutError):
        taken.ack_log_error(log, (RedisTimeoutError,))
    with pytest.raises(RedisTimeoutError):
        taken.reject_log_error(log, (RedisTimeoutError,), requeue=True)


def test_so_does_that_of_a_forged_message(take: Callable[[Any], Any]) -> None:
    with pytest.raises(RedisTimeoutError):
        take(Message())


def test_attempts_to_reach_redis_are_five_seconds_apart_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(Consumer, "ensure_connected", lambda self, conn: conn.ensure_connection(None, None))
    conn = SimpleNamespace(ensure_connection=lambda *args, **options: given.update(options))
    SignedConsumer.__new__(SignedConsumer).ensure_connected(conn)
    assert given == {"interval_max": 5}
