"""A warning that an error repeats is logged once per interval."""

from __future__ import annotations

import logging

import pytest

from sensor.operations.log_filter import RateLimitedLogFilter


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("sensor.delivery.spool", logging.WARNING, "", 0, message, args, None)


def test_a_message_is_logged_once_whatever_its_arguments_and_others_too() -> None:
    seldom = RateLimitedLogFilter()
    said = [seldom.filter(record(message, number)) for number in range(3) for message in ("full: %s", "broken: %s")]
    assert said == [True, True, False, False, False, False]


def test_it_is_logged_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100.0, 159.0, 160.0))
    monkeypatch.setattr("sensor.operations.log_filter.time.monotonic", lambda: next(clock))
    seldom = RateLimitedLogFilter(60.0)
    assert [seldom.filter(record("full")) for _ in range(3)] == [True, False, True]
