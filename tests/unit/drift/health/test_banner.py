"""The banner of what is dead: in the page from the start, so that nothing moves, and no page waits for it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from drift import queue
from drift.health.actions import dead_parts, readiness
from drift.health.actions.portal_checks import QUEUE, redis_checks
from drift.health.domain.task_reports import ENDED_AT
from tests.unit.drift.health import well

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PAGES = ("/settings/policy/", "/settings/environments/", "/rollouts/")
BANNER = "/settings/health/banner/"
DEAD = "A saved version is not distributed"
SLOT = f'hx-get="{BANNER}" hx-trigger='


@pytest.fixture(autouse=True)
def _well(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    well.portal(settings)
    monkeypatch.setattr(readiness, "_running", {})
    monkeypatch.setattr(dead_parts, "_last", (-math.inf, {}))
    monkeypatch.setattr(dead_parts, "WAIT_SECONDS", 30.0)
    monkeypatch.setattr(dead_parts, "KEPT_SECONDS", 600.0)


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Let each look at Redis hang from now on, as long as the test lasts."""
    ends = threading.Event()

    def hanging() -> object:
        ends.wait(60)
        return redis_checks()

    def begin() -> None:
        monkeypatch.setattr(dead_parts, "redis_checks", hanging)
        monkeypatch.setattr(dead_parts, "WAIT_SECONDS", 0.05)

    yield begin
    ends.set()


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("url", PAGES)
def test_a_page_has_the_banner_from_the_start_and_does_not_load_it_again(
    reader: User, client_of: Callable[[User], Client], url: str
) -> None:
    client = client_of(reader)
    assert DEAD not in page(client, url)
    well.report("worker", ago=60)

    text = page(client, url)

    assert DEAD in text
    assert f'{SLOT}"every 3s"' in text


@pytest.mark.parametrize("url", PAGES)
def test_while_redis_hangs_a_page_has_what_was_found_last_and_else_loads_it(
    reader: User,
    client_of: Callable[[User], Client],
    url: str,
    hang: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = client_of(reader)
    well.report("worker", ago=60)
    page(client, BANNER)
    hang()
    assert DEAD in page(client, url)

    monkeypatch.setattr(dead_parts, "KEPT_SECONDS", 0.0)

    text = page(client, url)
    assert DEAD not in text
    assert f'{SLOT}"load, every 3s"' in text


def test_what_the_portal_cannot_read_in_redis_fails_and_breaks_no_page(
    reader: User, client_of: Callable[[User], Client]
) -> None:
    queue.redis_client().hset(ENDED_AT, "fleet.sweep", "yesterday")
    try:
        assert "cannot read" in page(client_of(reader), PAGES[0])
        assert Client().get("/readyz").json()["checks"]["redis"].startswith("failing")
    finally:
        queue.redis_client().delete(ENDED_AT)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("[" * 100_000, id="nested too deeply"),
        pytest.param(f'{{"headers":{{"sent_at":{10**400}}}}}', id="a number that is too large"),
        pytest.param('{"headers":{"sent_at":-1e300}}', id="a time that no calendar has"),
        pytest.param('{"headers":["sent_at"]}', id="another shape"),
    ],
)
def test_a_message_of_somebody_else_in_the_queue_breaks_no_look_at_redis(message: str) -> None:
    queue.redis_client().rpush(QUEUE, message)
    try:
        assert redis_checks()["redis"].state == "ok"
    finally:
        queue.redis_client().delete(QUEUE)


def test_the_end_of_a_task_at_a_time_that_no_calendar_has_breaks_no_look_at_redis() -> None:
    queue.redis_client().hset(ENDED_AT, "fleet.sweep", "-1e300")
    try:
        assert redis_checks()["redis"].state == "ok"
    finally:
        queue.redis_client().delete(ENDED_AT)
