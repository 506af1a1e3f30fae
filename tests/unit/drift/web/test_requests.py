"""Requests: fragments and bounded numbers."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from drift.web.requests import MAX_BIGINT, bounded_int, is_fragment


@pytest.mark.parametrize(
    ("string", "number"), [("0", 0), ("007", 7), ("12", 12), (str(MAX_BIGINT), MAX_BIGINT), ("9" * 18, 10**18 - 1)]
)
def test_digits_are_a_number(string: str, number: int) -> None:
    assert bounded_int(string) == number


@pytest.mark.parametrize(
    "string", ["", "-1", "+1", "1.0", " 1", "²", "٣", "1_000", "0x1", str(MAX_BIGINT + 1), "9" * 5000]
)
def test_anything_else_is_not(string: str) -> None:
    assert bounded_int(string) is None


def test_a_number_beyond_the_maximum_is_not_read() -> None:
    assert (bounded_int("10", maximum=10), bounded_int("11", maximum=10)) == (10, None)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"HX-Request": "true"}, True),
        ({"HX-Request": "false"}, False),
        ({"HX-Request": "true", "HX-History-Restore-Request": "true"}, False),
    ],
)
def test_only_htmx_that_does_not_restore_a_page_requests_a_fragment(headers: dict[str, str], expected: bool) -> None:
    assert is_fragment(RequestFactory().get("/", headers=headers)) is expected
