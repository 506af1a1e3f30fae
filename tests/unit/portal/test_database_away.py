"""While the database is unavailable, every request gets 503 and Retry-After, whichever code queries it first."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import Client, RequestFactory
from psycopg.errors import QueryCanceled

from portal import views
from portal.log_filters import ShortenDatabaseErrors
from tests.unit.drift.alerts.conftest import event, make_estate

pytestmark = pytest.mark.services


@contextmanager
def database_away() -> Iterator[None]:
    """No server listens where the connection looks for one."""
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict["HOST"] = "/nowhere"
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["HOST"] = host


def assert_unavailable(answer: Any) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert "nowhere" not in answer.content.decode()


def patient(client: Client) -> Client:
    client.raise_request_exception = False
    return client


SENSORS_POST = {
    "me/events": {"events": [event()]},
    "me/heartbeat": {},
    "me/stream-ticket": {},
    "me/policy/status": {},
    "enrol": {
        "token": "dwe_0123456789ab_x",
        "cluster": {"name": "c", "distribution": "other"},
        "node": "n",
        "sensor_version": "0",
    },
}


@pytest.mark.django_db(transaction=True)
def test_sensors_and_api_clients_get_retry_after(api_of: Callable[[Any], Client], reader: Any) -> None:
    sensor = patient(Client(headers={"Authorization": f"Bearer {make_estate().credentials[0]}"}))
    program = patient(api_of(reader))
    with database_away():
        assert_unavailable(sensor.get("/api/v1/sensors/me/policy"))
        for path, body in SENSORS_POST.items():
            assert_unavailable(
                sensor.post(f"/api/v1/sensors/{path}", json.dumps(body), content_type="application/json")
            )
        assert_unavailable(program.get("/api/v1/alerts/"))

    assert sensor.get("/api/v1/sensors/me/policy").status_code == 200
    assert program.get("/api/v1/alerts/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_users_get_an_error_page_and_the_log_one_line(
    client_of: Callable[[Any], Client], reader: Any, caplog: pytest.LogCaptureFixture
) -> None:
    browser = patient(client_of(reader))
    with database_away(), caplog.at_level(logging.INFO, "django.request"):
        answer = browser.get("/alerts/")
        assert browser.get("/readyz?role=web").status_code == 503

    assert (answer.status_code, answer["Retry-After"]) == (503, str(views.RETRY_AFTER))
    assert "Nothing was changed" in answer.content.decode()
    assert browser.get("/readyz?role=web").status_code == 200
    record = next(each for each in caplog.records if each.name == "django.request")
    assert ShortenDatabaseErrors().filter(record)
    line = logging.Formatter("%(levelname)s %(message)s").format(record)
    assert line.startswith("WARNING Service Unavailable: /alerts/ (")
    assert "\n" not in line


@pytest.mark.parametrize(("path", "kind"), [("/api/v1/alerts/", "application/json"), ("/alerts/", "text/html")])
def test_any_other_error_stays_500(rf: RequestFactory, path: str, kind: str) -> None:
    request: HttpRequest = rf.get(path)
    try:
        raise ValueError("a secret")
    except ValueError:
        answer = views.server_error(request)

    assert answer.status_code == 500
    assert answer["Content-Type"].startswith(kind)
    assert "secret" not in answer.content.decode()


def timed_out() -> OperationalError:
    """Return the error of a statement that exceeded a web process's timeout."""
    try:
        try:
            raise QueryCanceled("canceling statement due to statement timeout")
        except QueryCanceled as cause:
            raise OperationalError(str(cause)) from cause
    except OperationalError as error:
        return error


def test_a_statement_timeout_is_not_an_unavailable_database(rf: RequestFactory) -> None:
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "Internal Server Error", (), None)
    try:
        raise timed_out()
    except OperationalError as error:
        record.exc_info = (type(error), error, error.__traceback__)
        answer = views.server_error(rf.get("/api/v1/alerts/"))
    assert answer.status_code == 500
    assert ShortenDatabaseErrors().filter(record)
    assert record.exc_info is not None
