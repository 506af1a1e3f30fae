"""Parsers of foreign bytes reject what they cannot read with their own error, whatever the bytes."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from typing import Any, Final

import pytest

from drift.alerts.actions.ingest import decode
from drift.alerts.errors import EventRejected
from drift.policy.domain import document_files
from sensor import wire
from sensor.agent.policy_in_force import BundleRejected, _decoded, _rejected_status
from sensor.delivery.client import PortalUnavailable
from sensor.delivery.policy_stream import PolicyStream, server_sent_events
from sensor.policy import check
from sensor.policy.cli import UnreadableError


def _stream(data: bytes) -> None:
    stream: Any = object.__new__(PolicyStream)
    stream._epoch, stream._changed = None, lambda _: None
    for chunk in (data, *(data[at : at + 1] for at in range(min(len(data), 50)))):
        for name, content in server_sent_events([chunk]):
            stream._handle(name, content)
    stream._handle("policy", data)
    stream._handle("keepalive", data)


def _bundle(data: bytes) -> None:
    bundle = wire.SignedPolicy("k", "", base64.b64encode(data).decode())
    _rejected_status(bundle, "bad signature")
    _rejected_status(wire.SignedPolicy("k", "", data.decode("latin-1")), "bad signature")
    _decoded(data)


def _document(data: bytes) -> None:
    value: Any = document_files.parse(data, "json")
    for fault in check(value):
        str(fault)


def _yaml(data: bytes) -> None:
    check(document_files.parse(data, "yaml"))


PARSERS: Final[dict[str, tuple[Callable[[bytes], object], type[Exception]]]] = {
    "event batch": (lambda data: decode([data]), EventRejected),
    "policy document": (_document, UnreadableError),
    "YAML": (_yaml, UnreadableError),
    "stream client": (_stream, PortalUnavailable),
    "bundle": (_bundle, BundleRejected),
}


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_nested_deeply_is_rejected(name: str) -> None:
    run, expected = PARSERS[name]
    for data in (b"[" * 100_000, b'{"a":' * 100_000, b'{"document":' + b"[" * 100_000, b'{"epoch":' + b"[" * 100_000):
        with contextlib.suppress(expected):
            run(data)
