"""What the log filters shorten, and what they keep."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client

from accounts.models import ApiToken, User
from portal.log_filters import LineFormatter, ShortenPermissionErrors


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
