"""Questions about all alerts that match: one at a time for a user, and only so many for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from drift.alerts.actions.ingest import ingest
from drift.alerts.queries import alert_groups as grouping
from drift.alerts.queries import chart_counts
from drift.alerts.queries.query_limits import TOGETHER, in_turn
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
ClientOf = Callable[[Any], Client]


@pytest.fixture(autouse=True)
def _more_alerts_than_are_looked_at_unasked(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (grouping, chart_counts):
        monkeypatch.setattr(module, "NEWEST", 2)
    ingest(estate.sensors[0], raw(*(event(process__path=f"/{number}") for number in range(3))))


ALL_THAT_MATCH: Final = ("/alerts/?group=rule&kind=new_file&all=yes", "/alerts/charts/?kind=new_file&all=yes")


@contextmanager
def asking(*users: Any) -> Iterator[None]:
    """While this lasts, each of the users has a question that is being answered, on a connection of its own."""
    asked, done = Barrier(len(users) + 1), Event()

    def ask(user: Any) -> None:
        try:
            in_turn(user, 60, lambda: (asked.wait(30), done.wait(30)))
        finally:
            connection.close()

    with ThreadPoolExecutor(len(users)) as threads:
        running = [threads.submit(ask, user) for user in users]
        try:
            asked.wait(30)
            yield
        finally:
            done.set()
    for each in running:
        each.result()


@pytest.mark.parametrize("url", ALL_THAT_MATCH)
def test_a_user_asks_about_all_that_match_once_at_a_time(
    reader: Any, admin: Any, client_of: ClientOf, url: str
) -> None:
    browser = client_of(reader)

    with asking(reader):
        page = browser.get(url)
        others = client_of(admin).get(url)

    assert page.status_code == 429
    assert "newest 2 alerts that match" in page.content.decode()
    assert "your last question about all that match is still being answered" in page.content.decode()
    assert "ask again" in page.content.decode()
    assert others.status_code == browser.get(url).status_code == 200


@pytest.mark.parametrize("url", ALL_THAT_MATCH)
def test_only_so_many_ask_about_all_that_match_at_once(reader: Any, client_of: ClientOf, url: str) -> None:
    others = [User(pk=reader.pk + 1 + number) for number in range(TOGETHER)]
    browser = client_of(reader)

    with asking(*others[1:]):
        assert browser.get(url).status_code == 200
    with asking(*others):
        page = browser.get(url)

    assert page.status_code == 429
    assert "several others have just asked about all that match" in page.content.decode()


def test_who_asks_for_a_page_far_behind_while_busy_gets_the_first_of_the_newest(
    reader: Any, client_of: ClientOf
) -> None:

    with asking(reader):
        page = client_of(reader).get(f"{ALL_THAT_MATCH[0]}&after=100")

    assert [row.count for row in page.context["grouped"].rows] == [2]
