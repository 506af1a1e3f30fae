"""Request bodies: bounded as sent and decompressed."""

from __future__ import annotations

import gzip

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from drift.web.bodies import BodyInvalid, BodyTooLarge, gunzip, read_body


def body(data: bytes, length: str | None = None) -> Request:
    request = RequestFactory().post("/", data, content_type="application/json")
    if length is not None:
        request.META["CONTENT_LENGTH"] = length
    return Request(request)


def test_a_body_of_the_limit_is_read_whole_and_one_byte_more_is_rejected() -> None:
    assert read_body(body(b"x" * 10), 10) == b"x" * 10
    with pytest.raises(BodyTooLarge):
        read_body(body(b"x" * 11), 10)


def test_a_length_that_is_not_a_number_is_rejected() -> None:
    with pytest.raises(BodyInvalid, match="Content-Length"):
        read_body(body(b"x", length="one"), 10)


def test_a_gzip_bomb_is_rejected_at_the_limit() -> None:
    assert gunzip(gzip.compress(b"a" * 100), 100) == b"a" * 100
    with pytest.raises(BodyTooLarge):
        gunzip(gzip.compress(b"a" * 50_000_000), 100)


@pytest.mark.parametrize(
    "data", [b"", b"plain", gzip.compress(b"a", mtime=0)[:-1], gzip.compress(b"a", mtime=0) + b"more"]
)
def test_what_is_not_one_whole_gzip_stream_is_rejected(data: bytes) -> None:
    with pytest.raises(BodyInvalid):
        gunzip(data, 100)
