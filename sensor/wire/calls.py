"""Requests and responses of the sensor's API (docs/wire.md#calls)."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from sensor.wire.bounds import (
    MAX_GAPS,
    MAX_KEYS,
    Causes,
    Counter,
    Distribution,
    ETag,
    KeyId,
    Name,
    Provider,
    RunId,
    Sha256,
    Text,
    Time,
)


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
    `lineage_rules` are the ids of rules that are enabled although the document says otherwise: older sensors, which do
    not know this, would decide them by a name that anybody may have. Left out where there are none.
    """

    number: int
    digest: str
    created_at: dt.datetime
    blocking_stopped: bool
    document: dict[str, Any]
    keys: Annotated[list[PublicKey], Meta(max_length=MAX_KEYS)] = []
    expires_at: dt.datetime | None = None
    lineage_rules: Annotated[list[Text], Meta(max_length=1_000)] | msgspec.UnsetType = msgspec.UNSET


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
    that are monitored in part, at most 50 of `gap_count`. `sent_at` is by the node's clock.
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
    sent_at: Time | None = None


class HeartbeatResponse(Struct):
    """`canary_seconds`: between proofs of detection, None: none. `wants_proof`: send the applied bundle.

    `wants_execs`: report what a container executed around its drift; False from a portal that cannot show it.
    """

    desired_etag: str | None
    canary_seconds: float | None = None
    wants_proof: bool = False
    wants_execs: bool = False


class ErrorBody(Struct, omit_defaults=True):
    """Every error of the API: a code for programs, a message for people (docs/wire.md#errors)."""

    code: str
    message: str
    field: str | None = None
    index: int | None = None
