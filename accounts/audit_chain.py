"""The hash chain over the audit log: what of an entry is committed, and how (docs/audit.md#the-chain).

Pure: no database, no settings. Personal values are committed by salted digests, so that a value and its salt can be
erased without breaking the chain.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

SALT_BYTES: Final = 16
GENESIS: Final = bytes(32)
"""The digest before the first position."""
PERSONAL: Final = ("actor_name", "object_name", "address", "agent", "session", "token")
"""Columns whose values may concern a person; the values of `before` and `after` may as well."""
CHANGES: Final = ("before", "after")
_FORMAT: Final = b"driftwatch audit 1\n"


class Entry(Protocol):
    """The fields of an audit entry that are committed."""

    pk: Any
    at: dt.datetime
    actor_id: int | None
    actor_name: str
    verb: str
    object_type: str
    object_id: str
    object_name: str
    before: Any
    after: Any
    origin: str
    address: str
    agent: str
    session: str
    token: str
    request_id: str


@dataclass(frozen=True)
class Head:
    """The end of the chain at some time: whoever keeps it elsewhere notices when the chain before it was changed."""

    position: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.position}:{self.digest.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Return the head that `str` wrote. Raises ValueError."""
        position, _, digest = text.strip().partition(":")
        if not (position.isascii() and position.isdigit() and len(position) < 19 and len(digest) == 64):
            raise ValueError(f"{text.strip()!r} is not a head of the form POSITION:SHA256.")
        return cls(int(position), bytes.fromhex(digest))


def new_salts(entry: Entry) -> dict[str, str]:
    """Return a random salt, in hexadecimal, for each personal value that is not blank."""
    return {path: secrets.token_hex(SALT_BYTES) for path, value in personal_values(entry) if not _is_blank(value)}


def record_digest(entry: Entry, salts: Mapping[str, str], erased: Mapping[str, str]) -> bytes:
    """Return the digest of an entry's committed fields. `erased` has the commitments of values that were erased.

    Raises ValueError, with the reason, where a value is neither blank nor salted, or is there although it was erased.
    """
    personal: dict[str, str | None] = {}
    for path, value in personal_values(entry):
        if path in erased:
            if not _is_blank(value):
                raise ValueError(f"{path} has a value although it was erased")
            personal[path] = erased[path]
        elif _is_blank(value):
            personal[path] = None
        elif path in salts:
            personal[path] = commitment(salts[path], value, is_column=path in PERSONAL)
        else:
            raise ValueError(f"{path} was added later")
    fields = {
        "id": entry.pk,
        "at": entry.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor_id,
        "verb": entry.verb,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "origin": entry.origin,
        "request_id": entry.request_id,
        "shape": {name: _shape(getattr(entry, name)) for name in CHANGES},
        "personal": personal,
    }
    return hashlib.sha256(_FORMAT + _canonical(fields)).digest()


def chain_digest(position: int, previous: bytes, sealed_at: dt.datetime, record: bytes) -> bytes:
    """Return the digest of one position: of its number, the digest before it, its time and its entry's digest."""
    sealed = sealed_at.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(_FORMAT + f"{position}\n{sealed}\n".encode() + previous + record).digest()


def commitment(salt: str, value: Any, *, is_column: bool) -> str:
    """Return the salted digest of a personal value: of a column's text, or of a changed value's canonical JSON."""
    content = str(value).encode() if is_column else _canonical(value)
    return hashlib.sha256(bytes.fromhex(salt) + content).hexdigest()


def personal_values(entry: Entry) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of everything in the entry that may concern a person."""
    for name in PERSONAL:
        yield name, getattr(entry, name)
    for name in CHANGES:
        value = getattr(entry, name)
        if isinstance(value, dict):
            yield from ((f"{name}/{key}", each) for key, each in value.items())
        else:
            yield name, value


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value == "")


def _shape(value: Any) -> list[str] | str | None:
    """Return what of `before` or `after` is not personal: its keys."""
    return sorted(value) if isinstance(value, dict) else None if value is None else type(value).__name__


def _canonical(value: Any) -> bytes:
    # `surrogatepass`: PostgreSQL holds no lone surrogate, but a test or another writer must not make sealing fail.
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")
