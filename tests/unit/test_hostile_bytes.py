"""Parsers of foreign bytes reject what they cannot read with their own error, whatever the bytes.

Inputs are made from the files in tests/corpus: cut, spliced, repeated, nested. `make long` searches each parser for ten
minutes. What it finds becomes a file there.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from rest_framework.request import Request

from drift.alerts.actions.ingest import decode
from drift.alerts.errors import BadBody, EventRejected, TooLarge
from drift.alerts.forms.event_batch import read_events
from drift.fleet.domain.push_messages import check_ticket, decode_push
from portal.gateway.streams import SensorStream, Streams
from sensor import wire
from sensor.agent.policy_in_force import BundleRejected, _decoded, _rejected_status
from sensor.delivery.client import PortalUnavailable
from sensor.delivery.policy_stream import PolicyStream, server_sent_events
from sensor.policy import check
from sensor.policy.document_errors import UnreadableError
from sensor.policy.document_text import parse_document

Rejections = tuple[type[Exception], ...]
LONG: Final = bool(os.environ.get("DRIFTWATCH_LONG"))
SECONDS: Final = 600 if LONG else 0
EXAMPLES: Final = 250
"""Inputs of a round; `make long` runs rounds until the time is over."""
CORPUS: Final = Path(__file__).parent.parent / "corpus"
NOW: Final = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
"""The day of the corpus' events: later they would be rejected for their age, before much is parsed."""
NESTED: Final = (
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"document":' + b"[" * 100_000,
    b'{"epoch":' + b"[" * 100_000,
    b'{"events":[' + b"[" * 100_000,
    b'{"events":[{"more":' + b"[" * 10_000 + b"]" * 10_000 + b"}]}",
)
PIECES: Final = (
    b"[" * 5_000,
    b'{"a":' * 3_000,
    b"\\ud800",
    b"\\u0000",
    b"\xff\xfe",
    b"\x00",
    b"1e999",
    b"NaN",
    b"-0",
    b"9" * 5_000,
    b'"0001-01-01T00:00:00+23:59"',
    b'"9999-12-31T23:59:59-23:59"',
    b"&a *a",
    b"!!python/object:os.system",
    b"? - :\n",
    b"\r\n\r\n",
    b"\xe2\x80\xae",
    b"null",
    b"true",
    b"{}",
    b"[]",
)


def corpus(name: str) -> dict[str, bytes]:
    """Return the inputs that are kept for a parser, by their file names."""
    return {file.name: file.read_bytes() for file in sorted((CORPUS / name.replace(" ", "_")).iterdir())}


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Return a seed of which some parts are replaced by pieces, by other parts of it, or by noise."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        part = st.sampled_from(PIECES) | st.binary(max_size=20) | st.just(data[end : end + 60])
        data = data[:start] + draw(part) + data[end:]
    return data


def search(inputs: st.SearchStrategy[bytes], run: Callable[[bytes], object], expected: Rejections) -> int:
    """Call `run` with many inputs, and return how many; no exception but `expected` may leave it."""
    tried = 0

    # Short rounds: one that begins just before the end must not outlast the test's timeout on a busy machine.
    @hypothesis(
        max_examples=EXAMPLES,
        derandomize=hypothesis().derandomize and not LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def run_round(data: bytes) -> None:
        nonlocal tried
        tried += 1
        with contextlib.suppress(*expected):
            run(data)

    end = time.monotonic() + SECONDS
    run_round()
    while time.monotonic() < end:
        run_round()
    return tried


def _events(data: bytes) -> None:
    request = RequestFactory().post("/api/v1/events/", data, content_type="application/json")
    decode(read_events(Request(request)), NOW)


def _stream(data: bytes) -> None:
    for chunks in ([data], [data[at : at + 1] for at in range(min(len(data), 200))]):
        stream = _policy_stream()
        for name, content in server_sent_events(chunks):
            stream._handle(name, content)


def _stream_data(data: bytes) -> None:
    stream = _policy_stream()
    stream._handle("policy", data)
    stream._handle("keepalive", data)


def _policy_stream() -> Any:
    stream: Any = object.__new__(PolicyStream)
    stream._epoch, stream._changed = None, lambda _: None
    return stream


class TicketRejectedError(Exception):
    """The gateway opens no stream."""


def _ticket(data: bytes) -> None:
    found = check_ticket(data.decode("latin-1").strip(), 0.0, "only for this test")
    if found is None:
        raise TicketRejectedError
    # Changed bytes may spell the same ticket, but none for another sensor or a longer time.
    assert (found.sensor, found.expires) == ("6f0c2b1e-0000-4000-8000-000000000001", 1_800_000_000.0)


def _push(data: bytes) -> None:
    streams = Streams()
    streams.add(SensorStream("6f0c2b1e-0000-4000-8000-000000000001"))
    streams.take(decode_push(data))
    streams.keepalive()


def _bundle(data: bytes) -> None:
    bundle = wire.SignedPolicy("k", "", base64.b64encode(data).decode())
    _rejected_status(bundle, "bad signature")
    _rejected_status(wire.SignedPolicy("k", "", data.decode("latin-1")), "bad signature")
    _decoded(data)


def _document(data: bytes) -> None:
    value: Any = parse_document(data, "json")
    for fault in check(value):
        str(fault)


def _yaml(data: bytes) -> None:
    check(parse_document(data, "yaml"))


PARSERS: Final[dict[str, tuple[Callable[[bytes], object], Rejections]]] = {
    "event batch": (_events, (EventRejected, BadBody, TooLarge)),
    "policy document": (_document, (UnreadableError,)),
    "yaml": (_yaml, (UnreadableError,)),
    "stream": (_stream, (PortalUnavailable,)),
    "stream data": (_stream_data, (PortalUnavailable,)),
    "stream ticket": (_ticket, (TicketRejectedError,)),
    "push message": (_push, (msgspec.DecodeError,)),
    "bundle": (_bundle, (BundleRejected,)),
}


@pytest.mark.parametrize("name", PARSERS)
def test_the_valid_input_from_which_others_are_made_is_read(name: str) -> None:
    (valid,) = (data for file, data in corpus(name).items() if file.startswith("valid."))
    PARSERS[name][0](valid)


@pytest.mark.parametrize(("name", "file"), [(name, file) for name in PARSERS for file in corpus(name)])
def test_what_is_kept_in_the_corpus_is_read_or_rejected(name: str, file: str) -> None:
    run, expected = PARSERS[name]
    with contextlib.suppress(*expected):
        run(corpus(name)[file])


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("name", PARSERS)
def test_changed_bytes_are_read_or_rejected(name: str) -> None:
    run, expected = PARSERS[name]
    inputs = st.binary(max_size=200) | mutated(list(corpus(name).values()))
    assert search(inputs, run, expected) >= EXAMPLES


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_nested_deeply_is_rejected(name: str) -> None:
    run, expected = PARSERS[name]
    for data in NESTED:
        with contextlib.suppress(*expected):
            run(data)
