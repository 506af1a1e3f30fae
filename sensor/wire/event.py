"""A drift event and its parts (docs/wire.md#drift-event)."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensor.policy.decisions import Action, Reason
from sensor.policy.drift_kinds import DriftKind
from sensor.wire.bounds import (
    MAX_ANCESTORS,
    MAX_ARGV_BYTES,
    MAX_ARGV_ITEMS,
    MAX_ENTRY_BYTES,
    MAX_ENTRY_ITEMS,
    MAX_LABELS,
    Confidence,
    Count,
    Counter,
    HashStatus,
    Identity,
    Mode,
    Name,
    Outcome,
    Path,
    Pid,
    PodRole,
    Session,
    Sha256,
    Text,
    Time,
    WriterOrigin,
    WriterSession,
)


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


class ProcessProvenance(Struct, frozen=True, gc=False):
    """Who wrote the file, and how the process came into its container; None: unknown (docs/detection.md#provenance).

    The strings of `Writer` are for people: here they stand only where nobody else can have written the file.
    """

    session: Session | None = None
    written_by: Path | None = None
    written_by_name: Name | None = None
    writer_origin: WriterOrigin | None = None
    written_by_parent: Name | None = None
    """The programs above it, nearest first, with `/` between them."""
    written_in_session: WriterSession | None = None
    pod_role: PodRole | None = None
    """The session as it is sent where the pod's specification tells it: portals that do not know it read none."""
    written_below: Name | None = None
    """`written_by_parent` as it is sent: older portals read the nearest alone, which is all that older sensors send."""


class EntryExec(Struct, frozen=True, gc=False):
    """The exec with which the process's line entered its container (docs/kubernetes-audit.md#how-sure-it-is).

    `claimed_id` is from its environment, which a client may have set: not confirmed by anything.
    """

    at: Time
    pid: Pid | None = None
    argv: Annotated[list[Annotated[str, Meta(max_length=MAX_ENTRY_BYTES)]], Meta(max_length=MAX_ENTRY_ITEMS)] = []
    argv_truncated: bool = False
    claimed_id: Annotated[str, Meta(max_length=64)] | None = None


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
    provenance: ProcessProvenance | None = None
    """None: from a sensor that does not know it."""
    entry: EntryExec | None = None
    """None: nobody entered, or it was not seen."""
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
