"""The structs that sensor and portal exchange (docs/wire.md).

Both sides decode with these, and ignore unknown keys: either may be newer. Times are RFC 3339 in UTC with microseconds.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from sensor.names.decode_errors import error_field
from sensor.policy.decisions import Action, Reason
from sensor.policy.drift_kinds import DriftKind
from sensor.policy.flat_event import compile_flatten
from sensor.policy.properties import TABLE

Mode = Literal["exec", "summary"]
Outcome = Literal["none", "blocked", "not_blocked"]
HashStatus = Literal["ok", "too_large", "gone", "unreadable"]
Identity = Literal["complete", "incomplete"]
Confidence = Literal["certain", "change_time"]
GapReason = Literal["layers_unreadable", "no_overlay", "no_layers", "root_unknown", "execs_lost"]
Provider = Literal["azure", "aws", "gcp"]
Distribution = Literal["aks", "eks", "gke", "other"]

MAX_EVENTS: Final = 1_000
"""Events in one POST (docs/wire.md#calls)."""
MAX_EVENT_BYTES: Final = 32 * 1024
MAX_ARGV_ITEMS: Final = 64
MAX_ARGV_BYTES: Final = 4 * 1024
"""All argv items together, as UTF-8 after escaping."""
MAX_PATH: Final = 4_096
MAX_LABELS: Final = 64
MAX_ANCESTORS: Final = 16
MAX_KEYS: Final = 16
"""Public keys that a bundle may name; a portal holds far fewer."""
MAX_GAPS: Final = 50

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


# Leaf structs cannot form cycles: `gc=False` saves about ten tracked objects an event.
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


class FileOrigin(Struct, gc=False):
    """The other container that a file is from, or the image alone of an image volume; None: not known."""

    container_id: Annotated[str, Meta(max_length=64)] | None = None
    container_name: Name | None = None
    image_name: Text | None = None
    image_digest: Annotated[str, Meta(max_length=200)] | None = None
    namespace: Name | None = None
    pod_name: Name | None = None
    is_image_file: bool | None = None


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
    file_origin: FileOrigin | None = None
    ancestors: Annotated[list[Ancestor], Meta(max_length=MAX_ANCESTORS)] = []


class Owner(Struct, frozen=True, gc=False):
    """The workload that a pod or container belongs to, e.g. Deployment cart (docs/alerts.md#owner)."""

    kind: Name
    name: Name


class Container(Struct, gc=False):
    """The container of the process. Outside Kubernetes, namespace and pod are None."""

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


class EventDecision(Struct, frozen=True, gc=False):
    """The policy's decision, and by which version. `rule` is None only for identity_incomplete."""

    action: Action
    rule: Name | None
    reason: Literal[Reason, "identity_incomplete"]
    policy_number: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class Event(Struct, gc=False):
    """One drifted exec, or a count of like ones (mode summary); see docs/wire.md#drift-event."""

    event_id: uuid.UUID
    mode: Mode
    observed_at: Time
    last_at: Time
    kind: DriftKind
    process: Process
    container: Container
    count: Count = 1
    identity: Identity = "complete"
    decision: EventDecision | None = None
    outcome: Outcome = "none"
    outcome_reason: Annotated[str, Meta(max_length=256)] = ""
    truncated: bool = False
    """Detail was cut to keep the bounds (`sensor.delivery.truncation`); argv has its own flag."""
    confidence: Confidence = "certain"
    """`change_time`: no layers show what the image has; the file was changed after the container's start."""
    canary: bool = False
    """The sensor's own drift that proves detection (docs/proof.md): neither alerted on nor stored as an event."""


class ClusterInfo(Struct):
    """The cluster that a node belongs to; a plain host has no Kubernetes version."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    distribution: Distribution
    kubernetes_version: Annotated[str, Meta(max_length=64)] | None = None


class EnrolRequest(Struct):
    """`previous_credential` proves that a node that enrols again is the same one; the digests, that it is another."""

    token: Annotated[str, Meta(max_length=256)]
    cluster: ClusterInfo
    node: Annotated[str, Meta(min_length=1, max_length=253)]
    sensor_version: Annotated[str, Meta(max_length=64)]
    capabilities: Annotated[list[Annotated[str, Meta(max_length=32)]], Meta(max_length=32)] = []
    previous_credential: Annotated[str, Meta(max_length=256)] | None = None
    machine_digest: RunId = ""
    boot_digest: RunId = ""


class PublicKey(Struct, frozen=True):
    """An Ed25519 public key that bundles may be signed with; base64 of its 32 raw bytes."""

    key_id: str
    public_key: str


class EnrolResponse(Struct):
    """The node's identity from now on. `api_url` is the portal's address, with or without `/api/v1`."""

    sensor_id: uuid.UUID
    credential: str
    provider: Provider
    account: str
    cluster_name: str
    keys: list[PublicKey]
    api_url: str


class SignedPolicy(Struct):
    """A signed policy: Ed25519 over the exact payload bytes, both in base64."""

    key_id: str
    signature: str
    payload: str


class BundlePayload(Struct):
    """The signed part. `keys` are all keys that bundles may be signed with from now on; none: those before stay.

    After `expires_at` a sensor goes on with the policy and says that no newer bundle reaches it; None: an older portal.
    """

    number: int
    digest: str
    created_at: dt.datetime
    blocking_stopped: bool
    document: dict[str, Any]
    keys: Annotated[list[PublicKey], Meta(max_length=MAX_KEYS)] = []
    expires_at: dt.datetime | None = None


class PolicyStatus(Struct):
    """Acknowledges or rejects a version. `etag` is the bundle's: one version has one with blocking stopped as well."""

    number: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    digest: Sha256
    state: Literal["applied", "rejected"]
    error: Annotated[str, Meta(max_length=2_000)] = ""
    etag: ETag = ""


class TicketRequest(Struct):
    """`run_id` is as in Heartbeat; older sensors send no body."""

    run_id: RunId = ""


class StreamTicket(Struct):
    """Allows one connection to the push gateway."""

    stream_url: str
    ticket: str
    expires_at: dt.datetime


class EventsRequest(Struct):
    """Events are left undecoded: each is decoded on its own, so that an error names the event's index."""

    events: list[msgspec.Raw]


class EventsResponse(Struct):
    """All events are durably stored; `duplicates` of them were already."""

    accepted: int
    duplicates: int


class Counters(Struct):
    """Counts since the sensor started, but `spooled`: the events waiting now (docs/sensor.md#counters).

    `lost` counts execs by cause: ring, spool_full, … `unknown` counts drift with missing facts: "argv", or the whole
    "process".
    """

    execs: Counter = 0
    drifted: Counter = 0
    unresolved: Counter = 0
    spooled: Counter = 0
    set_aside: Counter = 0
    lost: Causes = {}
    unknown: Causes = {}


class MonitoringGap(Struct, frozen=True):
    """A container of which not everything can be judged (docs/detection.md#containers-that-are-monitored-in-part).

    `reason` is a GapReason, or one that a newer sensor knows; `filesystem` the type of its root; `lost` its execs that
    could not be judged, by cause.
    """

    container_id: Annotated[str, Meta(max_length=64)]
    reason: Annotated[str, Meta(max_length=64)]
    filesystem: Annotated[str, Meta(max_length=64)] = ""
    name: Name | None = None
    image_name: Text | None = None
    namespace: Name | None = None
    pod_name: Name | None = None
    lost: Causes = {}


class PausedRule(Struct, frozen=True):
    """A rule that blocks nothing for now: too much in this many workloads (docs/blocking.md#kill-limit)."""

    rule: Name
    workloads: Counter


class Heartbeat(Struct):
    """What the sensor is and has counted.

    `applied_etag` is the applied bundle's. `keys` are the ids of the keys that it accepts, None from older sensors.
    `run_id` is random per process: two that alternate are two sensors with one credential. `gaps` are the containers
    that are monitored in part, at most 50 of `gap_count`.
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
    gaps: Annotated[list[MonitoringGap], Meta(max_length=MAX_GAPS)] = []
    gap_count: Counter = 0
    policy_expires_at: Time | None = None
    machine_digest: RunId = ""
    boot_digest: RunId = ""
    paused_rules: Annotated[list[PausedRule], Meta(max_length=MAX_GAPS)] = []


class HeartbeatResponse(Struct):
    """`canary_seconds`: between proofs of detection, None: none. `wants_proof`: send the applied bundle."""

    desired_etag: str | None
    canary_seconds: float | None = None
    wants_proof: bool = False


class ErrorBody(Struct, omit_defaults=True):
    """Every error of the API: a code for programs, a message for people (docs/wire.md#errors)."""

    code: str
    message: str
    field: str | None = None
    index: int | None = None


class WireError(ValueError):
    """A value does not match its struct; `field` names the wrong one, such as `process.path`."""

    def __init__(self, code: Literal["invalid", "nul", "too_large"], message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code, self.field = code, field


_event_decoder = msgspec.json.Decoder(Event)


def decode_event(raw: bytes | msgspec.Raw) -> Event:
    """Decode one event from JSON. Raises WireError: `too_large` over 32 KiB, `nul`, else `invalid` with the field."""
    data = bytes(raw)
    if len(data) > MAX_EVENT_BYTES:
        raise WireError("too_large", f"An event may take {MAX_EVENT_BYTES} bytes; this one takes {len(data)}.")
    try:
        event = _event_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("invalid", str(error), error_field(error)) from None
    if event.mode == "exec" and event.count != 1:
        raise WireError("invalid", "An exec counts once; only a summary counts several.", "count")
    # PostgreSQL cannot store U+0000. In JSON it is always escaped, so most events need no second look.
    if b"\\u0000" in data and has_nul(event):
        raise WireError("nul", "Strings in an event must not contain NUL.")
    return event


def has_nul(value: object) -> bool:
    """Return whether any string in a decoded value contains U+0000."""
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
"""Return the flat event that `sensor.policy` evaluates; all but the event comes from the sensor's credential."""
flatten_container: Callable[[Container, str, str, str], dict[str, Any]] = compile_flatten(
    [each for each in TABLE if each.scope != "process_scope"], "container, provider, account, cluster_name"
)
"""Return the flat event of a container, without a process."""
