"""The shapes that sensor and portal exchange, as msgspec structs.

Both sides decode with these, so both hold the same bounds. Unknown keys are ignored: a newer
sensor may talk to an older portal. Times are RFC 3339 in UTC with microseconds.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from sensor.policy.drift_kinds import DriftKind
from sensor.policy.flat_event import compile_flatten
from sensor.policy.properties import TABLE

Kind = DriftKind
Mode = Literal["exec", "summary"]
Action = Literal["alert", "block", "ignore"]
Outcome = Literal["none", "blocked", "not_blocked"]
HashStatus = Literal["ok", "too_large", "gone", "unreadable"]
Identity = Literal["complete", "incomplete"]
Provider = Literal["azure", "aws", "gcp"]
Distribution = Literal["aks", "eks", "gke", "other"]

MAX_EVENTS: Final = 1_000
"""Events in one POST (DESIGN: API)."""
MAX_EVENT_BYTES: Final = 32 * 1024
MAX_ARGV_ITEMS: Final = 64
MAX_ARGV_BYTES: Final = 4 * 1024
"""All argv items together, as UTF-8 after escaping."""
MAX_PATH: Final = 4_096
MAX_LABELS: Final = 64
MAX_ANCESTORS: Final = 16
MAX_KEYS: Final = 16
"""Public keys that a bundle may name; a portal holds far fewer."""
EVENT_NAMESPACE: Final = uuid.UUID("4d1c7f0a-6f0f-5c58-9d53-3d1f2f6a9b77")

Path = Annotated[str, Meta(max_length=MAX_PATH)]
Name = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(max_length=1_024)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Pid = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Count = Annotated[int, Meta(ge=1, le=2**31)]
Counter = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Causes = Annotated[dict[Annotated[str, Meta(max_length=64)], Counter], Meta(max_length=32)]
Time = Annotated[dt.datetime, Meta(tz=True)]
KeyId = Annotated[str, Meta(max_length=64)]
ETag = Annotated[str, Meta(max_length=64)]
RunId = Annotated[str, Meta(max_length=32)]


# What an event is made of holds data alone and never leads back to itself: the collector of cycles (gc) need not look
# at some ten objects an event.
class Parent(Struct, gc=False):
    """The process that ran or loaded the drifted file."""

    name: Name
    pid: Pid
    path: Path | None = None


class Ancestor(Struct, gc=False):
    """One step up the process tree, nearest first."""

    name: Name
    pid: Pid


class Writer(Struct, gc=False):
    """The process that wrote the drifted file last, before it ran."""

    name: Name
    pid: Pid
    at: Time
    path: Path | None = None
    parent: Ancestor | None = None


class Process(Struct, gc=False):
    """The drifted process. For script, loader and library, path and hash are the file's own."""

    name: Name
    path: Path
    argv: Annotated[list[Annotated[str, Meta(max_length=MAX_ARGV_BYTES)]], Meta(max_length=MAX_ARGV_ITEMS)] = []
    argv_truncated: bool = False
    cwd: Path | None = None
    uid: Annotated[int, Meta(ge=0, le=2**32 - 1)] | None = None
    pid: Pid | None = None
    started_at: Time | None = None
    sha256: Sha256 | None = None
    hash_status: HashStatus = "gone"
    size: Counter | None = None
    copy_of: Path | None = None
    via: Path | None = None
    parent: Parent | None = None
    written_by: Writer | None = None
    ancestors: Annotated[list[Ancestor], Meta(max_length=MAX_ANCESTORS)] = []


class Owner(Struct, frozen=True, gc=False):
    """The workload that a pod belongs to, e.g. Deployment cart."""

    kind: Name
    name: Name


class Container(Struct, gc=False):
    """Who ran it. Outside Kubernetes namespace, pod and owner are None."""

    id: Annotated[str, Meta(max_length=64)]
    name: Name | None = None
    runtime: Name | None = None
    image_name: Text | None = None
    image_digest: Annotated[str, Meta(max_length=200)] | None = None
    namespace: Name | None = None
    pod_name: Name | None = None
    pod_uid: Name | None = None
    pod_labels: Annotated[dict[Annotated[str, Meta(max_length=317)], Name], Meta(max_length=MAX_LABELS)] = {}
    owner: Owner | None = None


class Decision(Struct, frozen=True, gc=False):
    """What the policy said. `rule` is None only for identity_incomplete."""

    action: Action
    rule: Name | None
    reason: Literal["scope", "allow_list", "not_on_allow_list", "default", "identity_incomplete"]
    policy_number: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class Event(Struct, gc=False):
    """One drifted exec, or a count of like ones (mode summary)."""

    event_id: uuid.UUID
    mode: Mode
    observed_at: Time
    last_at: Time
    kind: DriftKind
    process: Process
    container: Container
    count: Count = 1
    identity: Identity = "complete"
    decision: Decision | None = None
    outcome: Outcome = "none"
    outcome_reason: Annotated[str, Meta(max_length=256)] = ""
    truncated: bool = False
    """Some detail was cut to keep the bounds (`sensor.delivery.truncation`); argv has a flag of its own."""
    canary: bool = False
    """A drift of the sensor's own that proves detection: no alert, and not stored as an event."""


class ClusterInfo(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    distribution: Distribution
    kubernetes_version: Annotated[str, Meta(max_length=64)] | None = None


class EnrolRequest(Struct):
    token: Annotated[str, Meta(max_length=256)]
    cluster: ClusterInfo
    node: Annotated[str, Meta(min_length=1, max_length=253)]
    sensor_version: Annotated[str, Meta(max_length=64)]
    capabilities: Annotated[list[Annotated[str, Meta(max_length=32)]], Meta(max_length=32)] = []
    previous_credential: Annotated[str, Meta(max_length=256)] | None = None


class PublicKey(Struct, frozen=True):
    """An Ed25519 public key that bundles may be signed with; base64 of its 32 raw bytes."""

    key_id: str
    public_key: str


class EnrolResponse(Struct):
    """What a node is from now on. `api_url` is the portal's address, with or without `/api/v1`."""

    sensor_id: uuid.UUID
    credential: str
    provider: Provider
    account: str
    cluster_name: str
    keys: list[PublicKey]
    api_url: str


class Bundle(Struct):
    """A signed policy: Ed25519 over the exact payload bytes, both in base64."""

    key_id: str
    signature: str
    payload: str


class BundlePayload(Struct):
    """What is signed. `keys` are all that bundles may be signed with from now on; none: those known before stay."""

    number: int
    digest: str
    created_at: dt.datetime
    blocking_stopped: bool
    document: dict[str, Any]
    keys: Annotated[list[PublicKey], Meta(max_length=MAX_KEYS)] = []


class PolicyStatus(Struct):
    """What became of a version. `etag` is the bundle's: at an equal number it tells whether blocking is stopped."""

    number: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    digest: Sha256
    state: Literal["applied", "rejected"]
    error: Annotated[str, Meta(max_length=2_000)] = ""
    etag: ETag = ""


class TicketRequest(Struct):
    """`run_id` as in a heartbeat; older sensors send no body."""

    run_id: RunId = ""


class StreamTicket(Struct):
    stream_url: str
    ticket: str
    expires_at: dt.datetime


class EventsRequest(Struct):
    """Events left as bytes: each is decoded on its own, so that a fault can be given its index."""

    events: list[msgspec.Raw]


class EventsResponse(Struct):
    accepted: int
    duplicates: int


class Counters(Struct):
    """Since the sensor started; `spooled` alone is a level: the events that wait to be sent.

    `lost` counts execs by cause: ring, spool_full, … `unknown` counts drift of which something could not be
    learned any more: its "argv", or all of the "process".
    """

    execs: Counter = 0
    drifted: Counter = 0
    unresolved: Counter = 0
    spooled: Counter = 0
    set_aside: Counter = 0
    lost: Causes = {}
    unknown: Causes = {}


class Heartbeat(Struct):
    """What the sensor is and counts.

    `applied_etag` is the obeyed bundle's, `keys` are the ids of those it accepts (None: an older sensor that
    does not say), `run_id` is chosen at random by each process: two that take turns use one credential.
    """

    sensor_version: Annotated[str, Meta(max_length=64)]
    kubernetes_version: Annotated[str, Meta(max_length=64)] | None
    capabilities: Annotated[list[Annotated[str, Meta(max_length=32)]], Meta(max_length=32)]
    backend: Annotated[str, Meta(max_length=32)]
    applied_number: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None
    counters: Counters
    applied_etag: ETag | None = None
    keys: Annotated[list[KeyId], Meta(max_length=MAX_KEYS)] | None = None
    run_id: RunId = ""


class HeartbeatResponse(Struct):
    """`canary_seconds`: how often to prove detection (`sensor.operations.canary`); None: not at all."""

    desired_etag: str | None
    canary_seconds: float | None = None


class ErrorBody(Struct, omit_defaults=True):
    """Every error the API gives: a code for programs, a message for a person."""

    code: str
    message: str
    field: str | None = None
    index: int | None = None


class WireError(ValueError):
    """A value that is not of its shape: a code for programs and the field, as in `process.path`."""

    def __init__(self, code: Literal["invalid", "nul", "too_large"], message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code, self.field = code, field


_event_decoder = msgspec.json.Decoder(Event)


def decode_event(raw: bytes | msgspec.Raw) -> Event:
    """One event from its JSON.

    Raises WireError: `too_large` over 32 KiB, `nul` where any text holds U+0000 (PostgreSQL keeps
    none), else `invalid` with the field that is wrong.
    """
    data = bytes(raw)
    if len(data) > MAX_EVENT_BYTES:
        raise WireError("too_large", f"An event may take {MAX_EVENT_BYTES} bytes; this one takes {len(data)}.")
    try:
        event = _event_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("invalid", str(error), field_of(error)) from None
    if event.mode == "exec" and event.count != 1:
        raise WireError("invalid", "An exec counts once; only a summary counts several.", "count")
    if b"\\u0000" in data and has_nul(event):
        raise WireError("nul", "An event's text must not hold NUL.")
    return event


def field_of(error: Exception) -> str | None:
    """The field that msgspec complains of, as in `process.argv[3]`; None for the whole value."""
    missing = re.search(r"missing required field `(\w+)`", str(error))
    place = re.search(r"`\$\.?([^`]*)`$", str(error))
    return ".".join(found[1] for found in (place, missing) if found and found[1]) or None


def has_nul(value: object) -> bool:
    """Whether any text within a decoded shape holds U+0000."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(has_nul(item) for item in value)
    return isinstance(value, Struct) and any(has_nul(getattr(value, name)) for name in value.__struct_fields__)


flatten: Callable[[Event, str, str, str], dict[str, Any]] = compile_flatten(
    TABLE, "event, provider, account, cluster_name", "container, process = event.container, event.process"
)
"""Return the flat event that `sensor.policy` evaluates.

Provider, account and cluster come from the sensor's credential, never from the event.
"""
flatten_container: Callable[[Container, str, str, str], dict[str, Any]] = compile_flatten(
    [each for each in TABLE if each.scope != "process_scope"], "container, provider, account, cluster_name"
)
"""Return the flat event of a container, without a process."""


def exec_event_id(boot_id: str, pid: int, start_time_ns: int, event_time_ns: int) -> uuid.UUID:
    """One id per exec; a reused pid has another start time (SENSOR: Who is it?)."""
    return uuid.uuid5(EVENT_NAMESPACE, f"exec:{boot_id}:{pid}:{start_time_ns}:{event_time_ns}")


def summary_event_id(boot_id: str, fold_key: str, window_start_ns: int, sequence: int) -> uuid.UUID:
    """One id per fold key, window and spool sequence, so a resend is the same summary."""
    return uuid.uuid5(EVENT_NAMESPACE, f"summary:{boot_id}:{fold_key}:{window_start_ns}:{sequence}")
