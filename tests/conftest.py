"""Fixtures for all tests: one user per role, and the messages that the queue would send."""

from __future__ import annotations

import datetime as dt
import gc
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis

PASSWORD = "correct-horse-battery"
SYSTEM = Path(__file__).with_name("system")
YOUNG_OBJECTS = 20_000

# The same examples in every run, however busy the machine; `--hypothesis-profile search` looks for new ones.
hypothesis.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
hypothesis.register_profile("search", hypothesis.get_profile("same"), derandomize=False)
hypothesis.load_profile("same")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Before tests are chosen by markers: those that a test need not say itself. Afterwards: their order.

    A test that uses the database or a browser needs the services. System tests are `serial`. Browser tests go last:
    Playwright keeps an event loop running in this thread from its first test on, in which no other test could run one
    of its own.
    """
    for item in items:
        if item.get_closest_marker("browser") or item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.services)
        if SYSTEM in item.path.parents:
            item.add_marker(pytest.mark.serial)
    yield
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.hookimpl
def pytest_collection_finish() -> None:
    """Leave what is loaded out of garbage collections, as a web process does: they took a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


def _no_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With DRIFTWATCH_NO_SKIPS=1, as CI sets it, a skipped test has failed."""
    if report.skipped and os.environ.get("DRIFTWATCH_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but this run allows no skips: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself."""
    report = yield
    _no_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that skips all its tests."""
    report = yield
    _no_skip(report)
    return report


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> Generator[None, None, None]:
    """Create and drop the test database as its owner; between them every test is the portal's role."""
    from accounts.database_roles import as_database_owner

    with as_database_owner():
        yield


@pytest.fixture(scope="session")
def migrated_copy(django_db_modify_db_settings: None) -> Any:
    """What another process that runs tests has left of the migrated database, for the test database to be made of."""
    from tests.migrated_database import MigratedCopy

    copy = MigratedCopy()
    try:
        copy.load()
    except BaseException:
        copy.release()
        raise
    return copy


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest, migrated_copy: Any, django_db_blocker: Any
) -> Generator[None, None, None]:
    """Let tests run as the portal's role, and make the flush after a transactional test bring back what the migrations
    had put in.

    Rows are deleted and not tables truncated: most are empty, and a new file for each of the 700 tables and indexes
    takes a second. The append-only triggers refuse both, as they should; the flush is the one thing in these tests
    that goes past them, as PostgreSQL's superuser.
    """
    from django.db import connection
    from django.test import TransactionTestCase

    from accounts.database_roles import as_portal_role
    from drift.alerts.actions.event_keys import clear_caches
    from drift.alerts.queries import compiled_policies
    from tests.database import as_owner

    try:
        request.getfixturevalue("django_db_setup")  # pytest-django's
        migrated_copy.save()
    finally:
        migrated_copy.release()  # others wait for it: also where a migration fails
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        tables = [f'"{name}"' for name in connection.introspection.table_names(cursor) if name != "django_migrations"]
        cursor.execute("CREATE SCHEMA initial")
        for table in tables:
            cursor.execute(f"CREATE TABLE initial.{table} AS TABLE {table}")
        cursor.execute(" UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (TABLE {table})" for table in tables))
        filled = [table for (table,) in cursor.fetchall()]
    script = "; ".join(
        [
            "SET session_replication_role = replica",
            *(f"DELETE FROM {table}" for table in tables),
            *(f"INSERT INTO {table} TABLE initial.{table}" for table in filled),
            "SET session_replication_role = DEFAULT",
            "SELECT setval(sequencename::regclass, start_value, false) FROM pg_sequences WHERE last_value IS NOT NULL",
        ]
    )

    def flush(self: TransactionTestCase) -> None:
        with as_owner() as cursor:
            cursor.execute(script)
        clear_caches()
        compiled_policies.compiled_version.cache_clear()

    TransactionTestCase._fixture_teardown = flush  # type: ignore[attr-defined]

    with as_portal_role():
        yield


@pytest.fixture(autouse=True)
def _quick_settings(settings: Any) -> None:
    """Use a cheap password hash, and static files without a manifest."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """What drift.queue would send to Celery: (task, args)."""
    from drift import queue

    sent: list[tuple[str, tuple[Any, ...]]] = []
    monkeypatch.setattr(queue, "send", lambda task, *args: sent.append((task, args)))
    return sent


def _user(role: str) -> Any:
    from accounts.models import User
    from accounts.roles import Role

    return User.objects.create_user(f"{role}@example.com", role.title(), Role(role), PASSWORD)


@pytest.fixture
def reader(db: None) -> Any:
    return _user("reader")


@pytest.fixture
def operator(db: None) -> Any:
    return _user("operator")


@pytest.fixture
def admin(db: None) -> Any:
    return _user("admin")


@pytest.fixture
def owner(db: None) -> Any:
    return _user("owner")


@pytest.fixture
def client_of(db: None) -> Callable[[Any], Any]:
    """A test client signed in as a user."""
    from django.test import Client

    def client(user: Any) -> Client:
        browser = Client()
        browser.force_login(user)
        return browser

    return client


@pytest.fixture
def api_of(db: None) -> Callable[..., Any]:
    """A test client that sends an API token of a user, with all scopes of their role or those given."""
    from django.test import Client
    from django.utils import timezone

    from accounts import tokens
    from accounts.models import ApiToken
    from accounts.models.tokens import MAX_REQUESTS_PER_MINUTE, scopes_of_role
    from accounts.roles import Role

    def client(user: Any, *scopes: str) -> Client:
        new = tokens.new_token(tokens.PERSON)
        ApiToken.objects.create(
            user=user,
            name="test",
            prefix=new.prefix,
            digest=new.digest,
            scopes=list(scopes) or [scope.value for scope in scopes_of_role(Role(user.role))],
            requests_per_minute=MAX_REQUESTS_PER_MINUTE,
            expires_at=timezone.now() + dt.timedelta(days=1),
        )
        return Client(headers={"Authorization": f"Bearer {new.token}"})

    return client
