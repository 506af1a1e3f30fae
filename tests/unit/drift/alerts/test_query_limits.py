"""Queries over all alerts that match: one at a time for a user, and only so many for all."""

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
from drift.alerts.queries import alert_groups, chart_counts
from drift.alerts.queries.query_limits import MAX_CONCURRENT, StatementTimeout, run_limited, statement_timeout
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
ClientOf = Callable[[Any], Client]


@pytest.fixture(autouse=True)
def _more_alerts_than_are_counted_by_default(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (alert_groups, chart_counts):
        monkeypatch.setattr(module, "NEWEST", 2)
    ingest(estate.sensors[0], raw(*(event(process__path=f"/{number}") for number in range(3))))


ALL_THAT_MATCH: Final = ("/alerts/?group=rule&kind=new_file&all=yes", "/alerts/charts/?kind=new_file&all=yes")


@contextmanager
def querying(*users: Any) -> Iterator[None]:
    """While this lasts, a query of each of the users is running, on a connection of its own."""
    started, done = Barrier(len(users) + 1), Event()

    def query(user: Any) -> None:
        try:
            run_limited(user, 60, lambda: (started.wait(30), done.wait(30)))
        finally:
            connection.close()

    with ThreadPoolExecutor(len(users)) as threads:
        running = [threads.submit(query, user) for user in users]
        try:
            started.wait(30)
            yield
        finally:
            done.set()
    for each in running:
        each.result()


@pytest.mark.parametrize("url", ALL_THAT_MATCH)
def test_a_user_has_one_query_over_all_matches_at_a_time(
    reader: Any, admin: Any, client_of: ClientOf, url: str
) -> None:
    browser = client_of(reader)

    with querying(reader):
        page = browser.get(url)
        others = client_of(admin).get(url)

    assert page.status_code == 429
    assert "newest 2 alerts that match" in page.content.decode()
    assert "your previous query is still running" in page.content.decode()
    assert "try again" in page.content.decode()
    assert others.status_code == browser.get(url).status_code == 200


@pytest.mark.parametrize("url", ALL_THAT_MATCH)
def test_only_so_many_queries_over_all_matches_run_at_once(reader: Any, client_of: ClientOf, url: str) -> None:
    others = [User(pk=reader.pk + 1 + number) for number in range(MAX_CONCURRENT)]
    browser = client_of(reader)

    with querying(*others[1:]):
        assert browser.get(url).status_code == 200
    with querying(*others):
        page = browser.get(url)

    assert page.status_code == 429
    assert "queries of other users are running" in page.content.decode()


def test_a_later_page_that_is_requested_while_busy_is_the_first_of_the_newest(reader: Any, client_of: ClientOf) -> None:

    with querying(reader):
        page = client_of(reader).get(f"{ALL_THAT_MATCH[0]}&after=100")

    assert [row.count for row in page.context["grouped"].rows] == [2]


def test_a_statement_that_takes_too_long_is_cancelled_and_the_next_is_not() -> None:
    with pytest.raises(StatementTimeout), statement_timeout(0.01), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")
    with statement_timeout(60), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.02)")
