"""Protocol Buffers, as far as CRI needs them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.container.protobuf import ProtobufError, ProtobufMessage, field

NUMBERS = st.integers(1, 2**29 - 1)


def test_the_example_of_the_encoding_s_documentation_decodes_as_documented() -> None:
    assert ProtobufMessage(b"\x08\x96\x01").number(1) == 150
    assert ProtobufMessage(b"\x12\x07testing").text(2) == "testing"


@given(NUMBERS, st.one_of(st.text(), st.binary(), st.integers(0, 2**64 - 1)))
def test_encoded_messages_decode_to_the_same_values(number: int, value: str | bytes | int) -> None:
    message = ProtobufMessage(field(number, value))
    if isinstance(value, int):
        assert message.number(number) == value
    elif isinstance(value, str):
        assert message.text(number) == value


@given(st.dictionaries(st.text(), st.text(), max_size=5))
def test_an_encoded_map_decodes_to_the_same_map(items: dict[str, str]) -> None:
    data = b"".join(field(5, field(1, key) + field(2, value)) for key, value in items.items())
    assert ProtobufMessage(data).texts(5) == items


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_raise_a_protobuf_error(data: bytes) -> None:
    try:
        message = ProtobufMessage(data)
    except ProtobufError:
        return
    for number in range(1, 16):
        assert isinstance(message.text(number), str)
        assert message.number(number) >= 0


def test_a_field_of_the_wrong_type_is_absent() -> None:
    assert ProtobufMessage(field(1, 7)).text(1) == ""
    assert ProtobufMessage(field(1, "7")).number(1) == 0


@pytest.mark.parametrize("data", [b"\x08", b"\x12\x05abc", b"\x0b", b"\x09\x00", b"\x08" + b"\xff" * 11])
def test_a_truncated_or_outdated_message_is_rejected(data: bytes) -> None:
    with pytest.raises(ProtobufError):
        ProtobufMessage(data)


def test_unknown_fields_are_skipped() -> None:
    fixed = b"\x51" + b"\0" * 8 + b"\x55" + b"\0" * 4
    assert ProtobufMessage(fixed + field(2, "kept")).text(2) == "kept"
