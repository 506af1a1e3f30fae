"""Kubernetes audit events (audit.k8s.io/v1) as requests to run something in a pod: pure, and strict about every value.

What the API server writes is data of whoever sent the request: names, command and agent are an attacker's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import ipaddress
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Meta, Struct

from sensor.names.escaping import safe_text
from sensor.names.masking import Masker

MAX_EVENT: Final = 256 * 1024
"""Bytes of one audit event: a pod with its ephemeral containers may be large."""
MAX_NAME: Final = 253
"""Characters of a name in Kubernetes (RFC 1123)."""
MAX_USER: Final = 1_024
MAX_AGENT: Final = 256
MAX_GROUPS: Final = 64
MAX_ADDRESSES: Final = 16
MAX_COMMAND_ITEMS: Final = 64
MAX_COMMAND_BYTES: Final = 4 * 1024
"""The bounds of a command line in a drift event (docs/wire.md#bounds)."""
KINDS: Final = frozenset({"exec", "attach", "ephemeralcontainers"})
STAGES: Final = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
"""Of a request, in the order in which the API server writes them."""
_FIRST_ERROR: Final = 400
_NOT_THIS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
NOT_AUDIT: Final = "The body must be an EventList or Events of audit.k8s.io/v1, as JSON."

Kind = Literal["exec", "attach", "ephemeralcontainers"]
_MASKER: Final = Masker()
_Person = Annotated[str, Meta(max_length=MAX_USER)]


class AuditEventInvalid(ValueError):
    """A line or an item that is not a valid audit event; nothing of it is kept."""


class _User(Struct):
    username: _Person = ""
    groups: list[str] | None = None


class _ObjectReference(Struct):
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _Status(Struct):
    code: int | None = None


class _AuditEvent(Struct, rename="camel"):
    audit_id: Annotated[str, Meta(min_length=1, max_length=64)] = msgspec.field(name="auditID")
    stage: Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
    request_received_timestamp: Annotated[dt.datetime, Meta(tz=True)]
    stage_timestamp: Annotated[dt.datetime, Meta(tz=True)] | None = None
    request_uri: str = msgspec.field(name="requestURI", default="")
    verb: str = ""
    user: _User = msgspec.field(default_factory=_User)
    impersonated_user: _User | None = None
    source_ips: list[str] | None = msgspec.field(name="sourceIPs", default=None)
    user_agent: str = ""
    response_status: _Status | None = None
    request_object: msgspec.Raw = msgspec.Raw(b"null")


class _Head(Struct, rename="camel"):
    """What tells whether an event is kept, so that any other is left unread: of whatever shape the rest is."""

    kind: str = ""
    object_ref: _ObjectReference | None = None


class _EventList(Struct):
    kind: Literal["EventList"]
    items: list[msgspec.Raw]


class _SingleEvent(Struct):
    kind: Literal["Event"]


@dataclass(frozen=True)
class EntryRequest:
    """A request to run something in a pod, of one stage or of several. `container` is "" where the request names none.

    `address` is the one that the API server saw; `claimed_addresses` come from headers, which the client may have set.
    `code` is the response's, None until it is known.
    """

    audit_id: str
    kind: Kind
    namespace: str
    pod: str
    container: str
    command: tuple[str, ...]
    is_command_cut: bool
    user: str
    groups: tuple[str, ...]
    acting_as: str
    address: str
    claimed_addresses: tuple[str, ...]
    agent: str
    requested_at: dt.datetime
    stage: str
    code: int | None
    ended_at: dt.datetime | None

    @property
    def digest(self) -> bytes:
        """Return a digest of everything that all stages of one request have in common."""
        same = (self.kind, self.namespace, self.pod, self.container, self.command, self.user, self.acting_as)
        text = json.dumps([*same, self.address, self.requested_at.isoformat()])
        return hashlib.sha256(text.encode()).digest()


def read_events(data: bytes) -> list[bytes | msgspec.Raw]:
    """Return the events of an EventList, as the API server's webhook posts it, or of JSON lines, as its log has them.

    Raises AuditEventInvalid where it is neither. Each event is still JSON.
    """
    text = data.strip()
    if not text:
        return []
    with contextlib.suppress(*_NOT_THIS):
        return list(msgspec.json.decode(text, type=_EventList).items)
    with contextlib.suppress(*_NOT_THIS):
        msgspec.json.decode(text, type=_SingleEvent)
        return [text]
    # More than one JSON document: lines, of which each is read on its own.
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return list(lines)
    raise AuditEventInvalid(NOT_AUDIT)


def entry_request(raw: bytes | msgspec.Raw) -> EntryRequest | None:
    """Return the request of an audit event; None for one that runs nothing in a pod. Raises AuditEventInvalid."""
    data = bytes(raw)
    if len(data) > MAX_EVENT:
        raise AuditEventInvalid(f"An audit event may take {MAX_EVENT} bytes; this one takes {len(data)}.")
    try:
        head = msgspec.json.decode(data, type=_Head)
        target = head.object_ref
        if head.kind not in ("", "Event") or target is None or target.resource != "pods":
            return None
        if target.subresource not in KINDS:
            return None
        event = msgspec.json.decode(data, type=_AuditEvent)
        return _request(event, target)
    except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError) as error:
        raise AuditEventInvalid(str(error)) from None


def _request(event: _AuditEvent, target: _ObjectReference) -> EntryRequest | None:
    is_change = target.subresource == "ephemeralcontainers"
    if is_change and (event.verb not in {"patch", "update", "create"} or event.stage == "RequestReceived"):
        return None  # reading them runs nothing, and the first stage does not have the object yet
    arguments = _arguments(event.request_uri)
    container, command = arguments.get(b"container", [b""])[0], arguments.get(b"command", [])
    if is_change:
        container, command = _ephemeral_container(event.request_object)
    items, is_cut = _bounded_command(command)
    addresses = [_address(each) for each in (event.source_ips or [])[-MAX_ADDRESSES:]]
    kind: Kind = target.subresource  # type: ignore[assignment]  # one of KINDS
    is_last = event.stage in ("ResponseComplete", "Panic")
    return EntryRequest(
        audit_id=_plain(event.audit_id, "auditID"),
        kind=kind,
        namespace=_name(target.namespace, "objectRef.namespace"),
        pod=_name(target.name, "objectRef.name"),
        container=safe_text(container, MAX_NAME),
        command=items,
        is_command_cut=is_cut,
        user=_plain(event.user.username, "user.username"),
        groups=tuple(safe_text(each, MAX_NAME) for each in (event.user.groups or [])[:MAX_GROUPS]),
        acting_as=_plain(event.impersonated_user.username if event.impersonated_user else "", "impersonatedUser"),
        address=addresses[-1] if addresses else "",
        claimed_addresses=tuple(each for each in addresses[:-1] if each),
        agent=safe_text(event.user_agent, MAX_AGENT),
        requested_at=event.request_received_timestamp.astimezone(dt.UTC),
        stage=event.stage,
        code=_code(event.response_status),
        ended_at=event.stage_timestamp.astimezone(dt.UTC) if is_last and event.stage_timestamp else None,
    )


def merged_stages(requests: Iterable[EntryRequest]) -> tuple[list[EntryRequest], int]:
    """Return one request of each audit id, in order of the ids, and how many contradict the first of theirs."""
    found: dict[str, EntryRequest] = {}
    contradictions = 0
    for each in requests:
        known = found.get(each.audit_id)
        if known is None:
            found[each.audit_id] = each
        elif known.digest != each.digest:
            contradictions += 1
        elif STAGES.index(each.stage) > STAGES.index(known.stage):
            found[each.audit_id] = replace(each, code=each.code if each.code is not None else known.code)
    return [found[each] for each in sorted(found)], contradictions


def is_refused(code: int | None) -> bool:
    """Return whether the API server refused a request: then nothing ran. An unknown code refuses nothing."""
    return code is not None and code >= _FIRST_ERROR


def _arguments(uri: str) -> dict[bytes, list[bytes]]:
    """Return the query of a request, decoded to bytes: a command need not be UTF-8."""
    found: dict[bytes, list[bytes]] = {}
    for pair in uri.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        key = unquote_to_bytes(name.replace("+", " "))
        if key in (b"container", b"command"):
            found.setdefault(key, []).append(unquote_to_bytes(value.replace("+", " ")))
    return found


def _ephemeral_container(raw: msgspec.Raw) -> tuple[bytes, list[bytes]]:
    """Return name and command of the ephemeral container that a patch or a pod adds, its last one."""
    try:
        body: Any = msgspec.json.decode(raw)
        added = body["spec"]["ephemeralContainers"][-1]
        command = [*(added.get("command") or []), *(added.get("args") or [])]
        name = added["name"]
    except (TypeError, KeyError, IndexError, AttributeError, msgspec.DecodeError):
        return b"", []
    if not isinstance(name, str) or not all(isinstance(each, str) for each in command):
        return b"", []
    return _bytes(name), [_bytes(each) for each in command]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _bounded_command(command: Sequence[bytes]) -> tuple[tuple[str, ...], bool]:
    """Return a command as a drift event's argv is: escaped, cut to its bounds, with its secrets masked."""
    items: list[str] = []
    left = MAX_COMMAND_BYTES
    is_cut = len(command) > MAX_COMMAND_ITEMS
    for raw in command[:MAX_COMMAND_ITEMS]:
        item = safe_text(raw)
        kept = item.encode()[:left].decode(errors="ignore")
        items.append(kept)
        left -= len(kept.encode())
        if kept != item or left <= 0:
            is_cut = True
            break
    return tuple(_MASKER.mask(items, truncated=is_cut)), is_cut


def _address(text: str) -> str:
    """Return an address in its usual spelling; "" for what is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _code(status: _Status | None) -> int | None:
    code = status.code if status is not None else None
    return code if code is not None and 100 <= code <= 599 else None


def _name(text: str, field: str) -> str:
    if not text or len(text) > MAX_NAME:
        raise AuditEventInvalid(f"`{field}` must have 1 to {MAX_NAME} characters.")
    return _plain(text, field)


def _plain(text: str, field: str) -> str:
    """Return a text that identifies somebody or something: never changed, only rejected where it cannot be stored."""
    if safe_text(text) != text:
        raise AuditEventInvalid(f"`{field}` must not contain NUL or half of a surrogate pair.")
    return text
