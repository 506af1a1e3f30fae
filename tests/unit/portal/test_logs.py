"""What the log filters shorten, and what they keep."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import django.db
import kombu.exceptions
import psycopg
import pytest
import redis
from django.core.exceptions import PermissionDenied
from django.test import Client

from accounts.models import ApiToken, User
from accounts.request_ids import given_or_new_id
from portal.log_filters import ShortenPermissionErrors
from portal.log_lines import ConsoleHandler, JsonFormatter, LineFormatter


@pytest.mark.parametrize(("error", "is_traced"), [(PermissionDenied(), False), (ValueError(), True)])
def test_a_rejected_request_is_logged_in_one_line_and_an_error_with_its_traceback(
    error: Exception, is_traced: bool
) -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Forbidden", (), None)
    try:
        raise error
    except type(error):
        record.exc_info = sys.exc_info()
    assert ShortenPermissionErrors().filter(record)
    assert (record.exc_info is not None) == is_traced


@pytest.mark.services
@pytest.mark.django_db
def test_a_refused_request_is_logged_with_user_token_address_and_request_id(
    reader: User,
    client_of: Callable[[User], Client],
    api_of: Callable[..., Client],
    caplog: pytest.LogCaptureFixture,
) -> None:
    by_token = api_of(reader)
    token = ApiToken.objects.get().prefix
    for browser, path, who in (
        (client_of(reader), "/users/", f"user {reader.pk}"),
        (by_token, "/api/v1/policy/versions/", f"user {reader.pk} by token {token}"),
        (Client(), "/api/v1/policy/versions/", "nobody"),
    ):
        caplog.clear()
        response = browser.post(path)
        assert response.status_code in {401, 403}
        records = [each for each in caplog.records if each.name == "django.request"]
        assert records
        assert all(f"({who} from 127.0.0.1)" in each.getMessage() for each in records), [
            each.getMessage() for each in records
        ]
        assert {each.request_id for each in records} == {response.headers["X-Request-ID"]}  # type: ignore[attr-defined]


def test_what_a_stranger_sends_cannot_look_like_a_record_of_its_own() -> None:
    attack = "alice\n2026-01-01 ERROR accounts [-] forged \x1b[31m\u202e"
    record = logging.LogRecord("accounts", logging.WARNING, "", 0, "refused %s", (attack,), None)
    line = LineFormatter("%(levelname)s %(message)s").format(record)
    assert line == r"WARNING refused alice\n2026-01-01 ERROR accounts [-] forged \x1b[31m\u202e"


def test_a_traceback_keeps_its_lines() -> None:
    record = logging.LogRecord("accounts", logging.ERROR, "", 0, "failed", (), None)
    try:
        raise ValueError
    except ValueError:
        record.exc_info = sys.exc_info()
    assert LineFormatter("%(message)s").format(record).startswith("failed\nTraceback (most recent call last):\n  File")


def test_a_log_line_has_its_time_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        record = logging.LogRecord("accounts", logging.INFO, "", 0, "started", (), None)
        record.created, record.msecs = 1_795_963_955.25, 250
        assert LineFormatter("%(asctime)s %(message)s").format(record) == "2026-11-29T14:52:35.250Z started"
    finally:
        monkeypatch.undo()
        time.tzset()


def handled(*records: logging.LogRecord) -> list[str]:
    """What the console shows of these records."""
    stream = io.StringIO()
    handler = ConsoleHandler()
    handler.setStream(stream)
    handler.setFormatter(LineFormatter("%(levelname)s %(message)s"))
    for record in records:
        handler.handle(record)
    return stream.getvalue().splitlines()


def record_of(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("drift", logging.ERROR, "", 0, message, arguments, info)


@pytest.mark.parametrize(
    ("error", "service"),
    [
        (redis.exceptions.ConnectionError("refused"), "Redis"),
        (redis.exceptions.TimeoutError("timed out"), "Redis"),
        (redis.exceptions.BusyLoadingError("loading"), "Redis"),
        (kombu.exceptions.OperationalError("refused"), "Redis"),
        (django.db.OperationalError("connection failed"), "the database"),
        (psycopg.errors.AdminShutdown("terminating"), "the database"),
        (psycopg.errors.DiskFull("no space"), "the database"),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), "the database"),
    ],
)
def test_of_an_outage_one_record_a_minute_is_written_without_its_traceback(
    error: Exception, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stream = io.StringIO()
    handler = ConsoleHandler()
    handler.setStream(stream)
    handler.setFormatter(LineFormatter("%(levelname)s %(message)s"))
    for moment in (1_000.0, 1_001.0, 1_059.0, 1_060.0, 1_061.0, 1_070.0):
        now = moment
        handler.handle(record_of("failed\nat length", error=error))
    now = 1_500.0
    handler.handle(record_of("all is well"))
    assert stream.getvalue().splitlines() == [
        f"WARNING {service} is unavailable: failed ({error})",
        f"WARNING {service} is unavailable: failed ({error}); 2 more records about it were left out before",
        f"WARNING {service} was unavailable: 2 more records about it were left out",
        "ERROR all is well",
    ]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("ours"),
        psycopg.errors.DeadlockDetected("ours"),
        psycopg.errors.LockNotAvailable("ours"),
        psycopg.errors.InFailedSqlTransaction("ours"),
        redis.exceptions.ResponseError("ours"),
        redis.exceptions.DataError("ours"),
    ],
)
def test_an_error_of_ours_keeps_every_record_and_its_traceback(error: Exception) -> None:
    shown = handled(*[record_of("failed", error=error)] * 3)
    assert [line for line in shown if line.startswith("ERROR")] == ["ERROR failed"] * 3
    assert len(shown) > 3


def test_an_outage_that_a_record_only_names_counts_too_and_others_pass() -> None:
    error = redis.exceptions.ConnectionError("refused")
    shown = handled(record_of("not sent: %s", error), record_of("refused: %s", "x"), record_of("not sent: %s", error))
    assert shown == ["WARNING Redis is unavailable: not sent: refused", "ERROR refused: x"]


def test_json_has_one_object_a_line_whatever_the_message_is() -> None:
    record = record_of("a\n\u202eb %s", "c")
    record.request_id = "r-1"
    (line,) = JsonFormatter().format(record).splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"], found["request_id"], found["message"]) == (
        "ERROR",
        "drift",
        "r-1",
        "a\n\u202eb c",
    )
    assert line.isascii()
    try:
        raise ValueError
    except ValueError:
        record.exc_info = sys.exc_info()
    (line,) = JsonFormatter().format(record).splitlines()
    assert json.loads(line)["traceback"].startswith("Traceback")


@pytest.mark.services
@pytest.mark.django_db
def test_the_access_log_names_route_caller_and_status_and_no_secret(
    reader: User, client_of: Callable[[User], Client], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ACCESS_LOG = True
    caplog.set_level(logging.INFO, "portal.access_log")
    client_of(reader).get("/alerts/77/?q=secret-search")
    Client().get("/link/secret-link-of-somebody/")
    Client().get("/nowhere/secret-path")
    Client().get("/healthz")
    shown = [each.getMessage() for each in caplog.records if each.name == "portal.access_log"]
    assert len(shown) == 3
    assert "method=GET route=/alerts/77/ status=404 " in shown[0]
    assert f" user={reader.pk} " in shown[0]
    assert "address=127.0.0.1" in shown[0]
    assert "secret" not in "".join(shown)


@pytest.mark.services
@pytest.mark.django_db
def test_without_the_switch_no_request_is_logged(
    reader: User, client_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portal.access_log")
    client_of(reader).get("/alerts/")
    assert not [each for each in caplog.records if each.name == "portal.access_log"]


def test_the_gateway_takes_a_request_id_from_our_own_proxy_only_and_bounds_it() -> None:
    def given(value: bytes, proxies: int = 1) -> bool:
        return given_or_new_id(value.decode("latin-1"), proxies) == value.decode("latin-1")

    assert given(b"from-proxy-1")
    assert not given(b"from-proxy-1", proxies=0)
    assert not any(given(value) for value in (b"short", b"x" * 65, b"line\nbreak-line", b"", b"\xff" * 20))


@pytest.mark.parametrize("access_log", [True, False])
def test_uvicorn_logs_no_request_since_its_lines_have_whole_urls(access_log: bool) -> None:
    program = f"""
import logging.config, uvicorn
from portal.log_settings import FILTERS, log_settings
uvicorn.Config("none:none", log_level="warning", access_log=False)
filters = {{"request": FILTERS["request"]}}
logging.config.dictConfig(log_settings("DEBUG", "text", access_log={access_log}, filters=filters))
print(logging.getLogger("uvicorn.access").hasHandlers(), logging.getLogger("uvicorn.error").hasHandlers())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
