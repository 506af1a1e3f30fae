r"""Strings from bytes that an attacker chose: valid UTF-8 stays, every other byte becomes `\xNN`."""

from __future__ import annotations


def safe_text(raw: bytes | str, limit: int | None = None) -> str:
    r"""A file name or argument as a string that JSON and PostgreSQL can hold, of at most `limit` characters.

    Bytes that are not UTF-8, and NUL (which PostgreSQL's text type rejects), come out as `\xNN`.
    A str with surrogate escapes, as `os.fsdecode` makes, is treated as the bytes it stands for.
    """
    data = raw if isinstance(raw, bytes) else _encoded(raw)
    return data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")[:limit]


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate of another kind, as JSON's "\ud800" decodes to
        return text.encode("utf-8", "surrogatepass")
