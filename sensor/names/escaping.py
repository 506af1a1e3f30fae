r"""Text from bytes that an attacker chose: valid UTF-8 stays, every other byte becomes `\xNN`."""

from __future__ import annotations


def safe_text(raw: bytes | str) -> str:
    r"""Turn a file name or argument into text that JSON and PostgreSQL can hold.

    Bytes that are not UTF-8, and NUL (which PostgreSQL's text refuses), come out as `\xNN`.
    A str with surrogate escapes, as `os.fsdecode` makes, is treated as the bytes it stands for.
    """
    data = _bytes_of(raw) if isinstance(raw, str) else raw
    return data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate of another kind, as JSON's "\ud800" decodes to
        return text.encode("utf-8", "surrogatepass")
