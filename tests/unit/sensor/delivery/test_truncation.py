"""The event is sent whatever an attacker names files and arguments."""

from __future__ import annotations

import datetime as dt
import uuid

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor import wire
from sensor.delivery import truncation
from sensor.delivery.truncation import is_within_bounds, truncated
from sensor.judgement.events import bounded_argv
from sensor.names.escaping import safe_text
from sensor.names.event_ids import EVENT_NAMESPACE

NOW = dt.datetime(2026, 11, 24, 8, 15, tzinfo=dt.UTC)
hostile_bytes = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"\0", b"\xff" * 5_000, b"\x01" * 4_096, b"\xed\xa0\x80", b'"\\', "é".encode() * 3_000]),
)
hostile_text = st.one_of(
    st.text(max_size=50),
    st.sampled_from(["\0", "\x01" * 6_000, "\ud800", "\udcff" * 300, "\U0001f4a3" * 5_000, "\\u0000"]),
)


def event(**process: object) -> wire.Event:
    return wire.Event(
        event_id=uuid.uuid5(EVENT_NAMESPACE, "test"),
        mode="exec",
        observed_at=NOW,
        last_at=NOW,
        kind="new_file",
        process=wire.Process(**{"name": "x", "path": "/tmp/x", **process}),  # type: ignore[arg-type]
        container=wire.Container(id="c"),
    )


@given(st.lists(hostile_bytes, max_size=100), hostile_bytes)
@settings(max_examples=100, deadline=None)
def test_any_bytes_in_argv_and_path_become_an_event_that_the_portal_accepts(argv: list[bytes], path: bytes) -> None:
    items, cut = bounded_argv(argv)
    sent = truncated(event(argv=items, argv_truncated=cut, path=safe_text(path), name=safe_text(path.split(b"/")[-1])))
    wire.decode_event(msgspec.json.encode(sent))
    assert sent.event_id == event().event_id


@given(hostile_text, hostile_text, st.dictionaries(hostile_text, hostile_text, max_size=100), st.integers())
@settings(max_examples=100, deadline=None)
def test_any_string_or_number_in_any_field_is_cut_to_its_limit(
    a: str, b: str, labels: dict[str, str], number: int
) -> None:
    whole = event(path=a, cwd=b, via=a, copy_of=b, pid=number, argv=[a, b] * 40, parent=wire.Parent(b, 1, a))
    whole.container = wire.Container(a, b, a, b, a, b, a, b, labels, wire.Owner(a, b))
    whole.process.ancestors = [wire.Ancestor(b, number)] * 20
    whole.outcome_reason = a
    sent = truncated(whole)
    wire.decode_event(msgspec.json.encode(sent))
    assert sent.truncated or sent == whole


@given(st.binary(max_size=300))
def test_escaped_bytes_contain_neither_nul_nor_surrogates_and_plain_text_stays(raw: bytes) -> None:
    text = safe_text(raw)
    text.encode()
    assert "\0" not in text
    if b"\0" not in raw:
        assert text.encode() == raw or b"\\x" in text.encode()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"\xff/x", "\\xff/x"),
        ("a\udcffb", "a\\xffb"),
        ("\ud800", "\\xed\\xa0\\x80"),
        (b"a\0b", "a\\x00b"),
    ],
)
def test_each_invalid_byte_is_escaped_in_hex(raw: bytes | str, text: str) -> None:
    assert safe_text(raw) == text


def test_an_event_within_its_limits_is_unchanged() -> None:
    small = event(argv=["./x"])
    assert truncated(small) is small


def test_detail_goes_first_and_the_file_name_stays() -> None:
    big = event(
        path="/\x01" * 2_000 + "/evil", argv=["\x01" * 4_000], ancestors=[wire.Ancestor("sh", 1)], cwd="\x01" * 4_000
    )
    big.container.pod_labels = {"app": "cart"}
    sent = truncated(big)
    assert sent.truncated
    assert sent.process.argv_truncated
    assert sent.process.ancestors == []
    assert sent.process.path.endswith("/evil")
    assert sent.container.pod_labels == {"app": "cart"}


def test_only_ancestors_are_dropped_if_that_is_enough() -> None:
    big = event(argv=["\x01" * 4_000], cwd="/" + "c" * 4_000, ancestors=[wire.Ancestor("\x01" * 250, 1)] * 16)
    sent = truncated(big)
    assert (sent.process.ancestors, sent.process.argv, sent.process.argv_truncated) == ([], big.process.argv, False)
    assert is_within_bounds(sent)


def test_a_path_that_the_policy_looks_at_is_kept_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    big = event(argv=["\x01" * 4_000] * 2, cwd="\x01" * 4_000, via="\x01" * 4_000)
    monkeypatch.setattr(truncation, "_LOOKED_AT", {"process.cwd"})
    sent = truncated(big)
    assert len(sent.process.cwd or "") > truncation.SHORTENED
    assert len(sent.process.via or "") == truncation.SHORTENED


def test_argv_is_cut_at_64_items_and_at_4_kib() -> None:
    assert bounded_argv([b"a"] * 64) == (["a"] * 64, False)
    assert bounded_argv([b"a"] * 65) == (["a"] * 64, True)
    assert bounded_argv([b"x" * 4_000, b"y" * 100]) == (["x" * 4_000, "y" * 96], True)
    assert bounded_argv([b"x" * 4_095, "é".encode()]) == (["x" * 4_095, ""], True)
