"""Canonical JSON (RFC 8785, JCS): one byte string per value, so that a digest means the same everywhere."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def canonical_json(value: object) -> bytes:
    """Return the RFC 8785 form of a JSON value.

    Raises ValueError for what it cannot hold: NaN, infinities, integers that a double would change,
    unpaired surrogates, keys that are not strings, and types that JSON does not have.
    """
    return "".join(_parts(value)).encode("utf-8")


def _parts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _object(value)
    elif isinstance(value, list):
        yield "["
        for position, item in enumerate(value):
            if position:
                yield ","
            yield from _parts(item)
        yield "]"
    else:
        yield _scalar(value)


def _object(value: dict[object, object]) -> Iterator[str]:
    keys = [key for key in value if isinstance(key, str)]
    if len(keys) != len(value):
        raise ValueError("an object's keys must be strings")
    yield "{"
    # By UTF-16 code units (RFC 8785 §3.2.3): big-endian bytes sort as the units do.
    for position, key in enumerate(sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass"))):
        if position:
            yield ","
        yield _scalar(key)
        yield ":"
        yield from _parts(value[key])
    yield "}"


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool | str):
        # json escapes exactly what RFC 8785 §3.2.2.2 requires, in the same short and lower-case forms.
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _number(value)
    raise ValueError(f"JSON has no {type(value).__name__}")


def _integer(value: int) -> str:
    """JSON's numbers are doubles here: an integer is fine if it is one, or is how one is written."""
    try:
        double = float(value)
    except OverflowError as error:
        raise ValueError("a number out of the range of a double") from error
    text = _number(double)
    if int(double) != value and text != str(value):
        raise ValueError("a number out of the range of a double")
    return text


def _number(value: float) -> str:
    """As ECMAScript's Number.prototype.toString writes it (RFC 8785 §3.2.2.3)."""
    if not math.isfinite(value):
        raise ValueError("JSON has neither NaN nor infinities")
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    """`digits` with the decimal point after `point` of them, plain from 1e-6 up to 1e21, else with an exponent."""
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{rest}e{point - 1:+d}"
