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
from typing import Annotated, Any, Final, Literal, NamedTuple
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
MAX_CONTAINERS: Final = 64
"""Ephemeral containers of a request whose names are kept. One with more may have added any."""
EPHEMERAL: Final = "/spec/ephemeralContainers"
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

    `ephemeral_containers`: all that a request for them names, for it may have added any; `container` is the last.
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
    ephemeral_containers: tuple[str, ...] = ()

    @property
    def digest(self) -> bytes:
        """Return a digest of everything that all stages of one request have in common."""
        same = (self.kind, self.namespace, self.pod, self.container, self.command, self.user, self.acting_as)
        # One alone is `container`: so a stored request of a version that kept no more has the same digest.
        others = [self.ephemeral_containers] if len(self.ephemeral_containers) > 1 else []
        text = json.dumps([*same, *others, self.address, self.requested_at.isoformat()])
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
    added = _ephemeral_containers(event.request_object) if is_change else []
    if is_change:
        container, command = (added[-1].name, added[-1].command) if added else (b"", [])
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
        ephemeral_containers=tuple(dict.fromkeys(safe_text(each.name, MAX_NAME) for each in added)),
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


class _EphemeralContainer(NamedTuple):
    name: bytes
    command: list[bytes]


def _ephemeral_containers(raw: msgspec.Raw) -> list[_EphemeralContainer]:
    """Return the ephemeral containers that a request names, in its order; none where they are too many to keep.

    A pod (PUT) names those that it has already too, in whatever order the client likes.
    """
    try:
        body: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return []
    if isinstance(body, list):
        items = [] if _takes_from_pod(body) else [each for operation in body for each in _patched(operation)]
    else:
        items = _items(body)
    found = [each for item in items for each in _container(item)]
    return found if len(found) <= MAX_CONTAINERS else []


def _takes_from_pod(patch: list[Any]) -> bool:
    """Return whether a JSON patch takes values from the pod, which the line does not have."""
    return any(isinstance(each, dict) and each.get("op") in ("copy", "move") for each in patch)


def _patched(operation: Any) -> list[Any]:
    """Return the containers that an operation of a JSON patch sets; it may also rename one that another adds."""
    if not isinstance(operation, dict) or operation.get("op") not in ("add", "replace"):
        return []
    path, value = operation.get("path"), operation.get("value")
    if isinstance(path, str) and "/" in path:
        # The API server ignores what stands before the first slash.
        path = path[path.index("/") :]
    if path in ("", "/spec"):
        return _items(value if path == "" else {"spec": value})
    if path == EPHEMERAL:
        return value if isinstance(value, list) else []
    if isinstance(path, str) and path.startswith(f"{EPHEMERAL}/"):
        return [{"name": value} if path.endswith("/name") else value]
    return []


def _items(body: Any) -> list[Any]:
    spec = body.get("spec") if isinstance(body, dict) else None
    items = spec.get("ephemeralContainers") if isinstance(spec, dict) else None
    return items if isinstance(items, list) else []


def _container(item: Any) -> list[_EphemeralContainer]:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name:
        return []
    parts = [item.get("command"), item.get("args")]
    command = [each for part in parts if isinstance(part, list) for each in part if isinstance(each, str)]
    return [_EphemeralContainer(_bytes(name), [_bytes(each) for each in command])]


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
