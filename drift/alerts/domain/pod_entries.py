"""Who entered a container: what a sensor saw, matched with requests of the cluster's audit log. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from posixpath import basename
from typing import Any, Final

from drift.alerts.domain.kubernetes_audit import is_refused
from sensor.names.masking import MASK

CONFIRMED_WITHIN: Final = dt.timedelta(minutes=1)
"""Between a request and the entry that bears its id: clocks of API server and node may differ."""
LIKELY_BEFORE: Final = dt.timedelta(seconds=15)
"""How long before the entry its request may have been made, where nothing but container, command and time match."""
LIKELY_AFTER: Final = dt.timedelta(seconds=5)
ENTERED: Final = frozenset({"exec", "probe"})
"""Sessions of who entered. A person may run the very command of a probe."""
STARTED: Final = frozenset({"workload", "debug"})
"""Sessions below a container's own first process, which may be a container that somebody added."""
MAX_PEOPLE: Final = 10
"""People whom a match names, where it may be any of them."""
SCRIPT_ITEMS: Final = 2
"""What a `#!` line puts before a script: the interpreter and one argument."""


class EntryConfidence(StrEnum):
    """How sure it is who entered, the surest first."""

    CONFIRMED = "confirmed"
    LIKELY = "likely"
    AMBIGUOUS = "ambiguous"
    CLAIMED = "claimed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SeenEntry:
    """How a process's line came into its pod, as its event says. `claimed_id` is "" without one.

    `is_container_start`: it is below the container's own first process; somebody may have added that container.
    `is_ephemeral`: somebody did, as the pod's specification says.
    """

    cluster: int
    namespace: str
    pod: str
    container: str
    argv: tuple[str, ...]
    is_argv_cut: bool
    at: dt.datetime
    claimed_id: str = ""
    is_container_start: bool = False
    is_ephemeral: bool = False


@dataclass(frozen=True)
class RecordedRequest:
    """A request of the audit log that may be an entry's. Of an erased person `user` is ""."""

    audit_id: str
    kind: str
    container: str
    command: tuple[str, ...]
    is_command_cut: bool
    user: str
    acting_as: str
    address: str
    claimed_addresses: tuple[str, ...]
    agent: str
    requested_at: dt.datetime
    code: int | None = None
    is_erased: bool = False
    ephemeral_containers: tuple[str, ...] = ()

    @property
    def person(self) -> tuple[str, str, str]:
        """Return what tells one person from another; each erased request may be somebody else's."""
        return self.user, self.acting_as, self.audit_id if self.is_erased else ""


@dataclass(frozen=True)
class EntryMatch:
    """Whose requests an entry may be: one person's where it is confirmed or likely, else all that may be."""

    confidence: EntryConfidence
    requests: tuple[RecordedRequest, ...] = ()
    claimed_id: str = ""

    @property
    def words(self) -> str:
        """Return in words who entered, from where, and how sure that is."""
        return entry_words(self)

    def as_json(self) -> dict[str, Any]:
        """Return what the API and exports have."""
        return {
            "confidence": self.confidence.value,
            "claimed_id": self.claimed_id or None,
            "requests": [_request_json(each) for each in self.requests],
        }


def entry_of_event(cluster: int, event: Mapping[str, Any]) -> SeenEntry | None:
    """Return how the process of a stored event came into its pod; None outside of pods, and where that is not known."""
    process, container = event["process"], event["container"]
    if not container.get("namespace") or not container.get("pod_name"):
        return None
    session = (process.get("provenance") or {}).get("session")
    if session not in ENTERED | STARTED:
        return None
    # Sensors that do not report the entry: the process itself may be the one that entered.
    seen = process.get("entry") or {
        "at": event["observed_at"],
        "argv": process.get("argv") or [],
        "argv_truncated": process.get("argv_truncated", False),
    }
    return SeenEntry(
        cluster=cluster,
        namespace=container["namespace"],
        pod=container["pod_name"],
        container=container.get("name") or "",
        argv=tuple(seen.get("argv") or ()),
        is_argv_cut=bool(seen.get("argv_truncated")),
        at=dt.datetime.fromisoformat(seen["at"]),
        claimed_id=seen.get("claimed_id") or "",
        is_container_start=session in STARTED,
        is_ephemeral=session == "debug",
    )


def entry_match(entry: SeenEntry, requests: Iterable[RecordedRequest], *, is_complete: bool = True) -> EntryMatch:
    """Return whose request an entry is, of those of its pod; `is_complete`: there are no more than these.

    Confirmed: the entry bears the id of a request for this container and command within a minute. Likely: the requests
    for this container and command within seconds are one person's, and the entry bears no id. An id that no request
    confirms may be made up, or its line has not arrived: then others are possible at best.
    """
    usable = [each for each in requests if not is_refused(each.code)]
    if entry.is_container_start:
        return _match_of_container(entry, usable, is_complete=is_complete)
    alike = [each for each in usable if each.kind == "exec" and _is_alike(entry, each)]
    if entry.claimed_id:
        for each in alike:
            if each.audit_id == entry.claimed_id and abs(entry.at - each.requested_at) <= CONFIRMED_WITHIN:
                return EntryMatch(EntryConfidence.CONFIRMED, (each,), entry.claimed_id)
    near = [each for each in alike if -LIKELY_AFTER <= entry.at - each.requested_at <= LIKELY_BEFORE]
    if near:
        return _possible(near, entry.claimed_id, is_sure=is_complete and not entry.claimed_id)
    return EntryMatch(EntryConfidence.CLAIMED if entry.claimed_id else EntryConfidence.UNKNOWN, (), entry.claimed_id)


def _match_of_container(entry: SeenEntry, requests: Sequence[RecordedRequest], *, is_complete: bool) -> EntryMatch:
    """Return who added an ephemeral container; its name is unique in its pod.

    A request whose body cannot be read may have added any, so it makes that ambiguous; of a container that may be the
    pod's own it says nothing.
    """
    timely = [
        each
        for each in requests
        if each.kind == "ephemeralcontainers" and each.requested_at <= entry.at + LIKELY_AFTER and entry.container
    ]
    naming = [each for each in timely if entry.container in each.ephemeral_containers]
    unreadable = [each for each in timely if not each.ephemeral_containers] if naming or entry.is_ephemeral else []
    if not naming and not unreadable:
        return EntryMatch(EntryConfidence.UNKNOWN)
    return _possible([*naming, *unreadable], "", is_sure=is_complete and bool(naming))


def _possible(requests: Sequence[RecordedRequest], claimed_id: str, *, is_sure: bool) -> EntryMatch:
    """Return a match that is likely if all are one person's, with one request of each of the first few people."""
    people = {each.person: each for each in reversed(requests)}
    confidence = EntryConfidence.LIKELY if is_sure and len(people) == 1 else EntryConfidence.AMBIGUOUS
    first = sorted(people.values(), key=lambda each: each.requested_at)
    return EntryMatch(confidence, tuple(first[:MAX_PEOPLE]), claimed_id)


def _is_alike(entry: SeenEntry, request: RecordedRequest) -> bool:
    """Return whether a request is for this container and command. One without a container is for the pod's only one."""
    if request.container and entry.container and request.container != entry.container:
        return False
    return is_same_command(entry.argv, request.command, is_cut=entry.is_argv_cut or request.is_command_cut)


def is_same_command(argv: Sequence[str], command: Sequence[str], *, is_cut: bool) -> bool:
    """Return whether a process was started by a command. A script's argv begins with its interpreter.

    Secrets are masked in both, in argv perhaps more of them; where one is cut, what both have is compared.
    """
    if not argv or not command:
        return False
    if _are_alike(argv, command, is_cut=is_cut):
        return True
    for start in range(1, SCRIPT_ITEMS + 1):
        rest = argv[start:]
        if rest and basename(rest[0]) == basename(command[0]) and _are_alike(rest[1:], command[1:], is_cut=is_cut):
            return True
    return False


def _are_alike(one: Sequence[str], other: Sequence[str], *, is_cut: bool) -> bool:
    if not is_cut:
        return len(one) == len(other) and all(map(_is_same_item, one, other))
    both = list(zip(one, other, strict=False))
    if not both:
        return False
    # The last item that both have may be cut short in one of them.
    return all(_is_same_item(*pair) for pair in both[:-1]) and all(
        first.startswith(second) or second.startswith(first) for first, second in both[-1:]
    )


def _is_same_item(shown: str, sent: str) -> bool:
    if shown == sent:
        return True
    head, mask, tail = shown.partition(MASK)
    return bool(mask) and sent.startswith(head) and sent.endswith(tail.rpartition(MASK)[2])


def entry_words(match: EntryMatch) -> str:
    """Return in words who entered, from where, and how sure that is."""
    people = list(dict.fromkeys(_person_words(each) for each in match.requests))
    if match.confidence is EntryConfidence.CONFIRMED:
        return f"{people[0]} (confirmed by the request's id)"
    if match.confidence is EntryConfidence.LIKELY:
        return f"Likely {people[0]}"
    claim = f"request {match.claimed_id} is claimed and not confirmed" if match.claimed_id else ""
    if match.confidence is EntryConfidence.AMBIGUOUS:
        return f"Ambiguous: {' or '.join(people)}{f'; {claim}' if claim else ''}"
    return claim[:1].upper() + claim[1:] if claim else "Unknown: no matching request in the cluster's audit lines"


def _person_words(request: RecordedRequest) -> str:
    user = "an erased user" if request.is_erased else request.user or "a user without a name"
    acting = f" acting as {request.acting_as}" if request.acting_as else ""
    how = "kubectl debug" if request.kind == "ephemeralcontainers" else f"kubectl {request.kind}"
    place = f" from {request.address}" if request.address else ""
    return f"{user}{acting}, by {how}{place}"


def _request_json(request: RecordedRequest) -> dict[str, Any]:
    return {
        "audit_id": request.audit_id,
        "kind": request.kind,
        "user": request.user or None,
        "acting_as": request.acting_as or None,
        "address": request.address or None,
        "claimed_addresses": list(request.claimed_addresses),
        "agent": request.agent or None,
        "requested_at": request.requested_at.isoformat(),
        "erased": request.is_erased,
    }
