"""Who entered the containers of alerts, as the audit logs of their clusters have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from django.db.models import Q, QuerySet

from accounts.models import User
from drift.alerts.domain.pod_entries import (
    CONFIRMED_WITHIN,
    LIKELY_AFTER,
    LIKELY_BEFORE,
    EntryConfidence,
    EntryMatch,
    RecordedRequest,
    SeenEntry,
    entry_match,
    entry_of_event,
)
from drift.alerts.models import Alert, PodEntry
from drift.alerts.queries.alert_json import alert_json

BATCH: Final = 100
"""Alerts whose requests one statement reads."""
MAX_REQUESTS: Final = 20_000
"""Requests that one statement reads. Whoever sends more within seconds makes it ambiguous who entered, no more."""
Item = TypeVar("Item")
COLUMNS: Final = (
    "audit_id", "kind", "container", "command", "is_command_cut", "username", "acting_as", "address",
    "claimed_addresses", "agent", "requested_at", "code", "erased_at", "cluster_id", "namespace", "pod",
    "ephemeral_containers",
)  # fmt: skip


def in_batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield as many items at once as one statement serves."""
    left = iter(items)
    while some := list(islice(left, BATCH)):
        yield some


def entry_matches(user: User, alerts: Iterable[Alert]) -> dict[int, EntryMatch]:
    """Return who entered, by alert, of the requests that the user sees; as `matches_among`."""
    return matches_among(PodEntry.objects.visible_to(user), alerts)


def matches_among(pod_entries: QuerySet[PodEntry], alerts: Iterable[Alert]) -> dict[int, EntryMatch]:
    """Return who entered, by alert; without those whose process entered no pod. Select `detail` with the alerts.

    Of an alert below a container's own first process there is one only if somebody added that container.
    """
    found: dict[int, EntryMatch] = {}
    entries = ((alert.pk, entry_of_event(alert.cluster_id, alert.detail.event)) for alert in alerts)
    for some in in_batches((pk, entry) for pk, entry in entries if entry is not None):
        requests, is_complete = _requests(pod_entries, [entry for _, entry in some])
        for pk, entry in some:
            of_pod = requests.get((entry.cluster, entry.namespace, entry.pod), ())
            match = entry_match(entry, of_pod, is_complete=is_complete)
            if match.requests or not entry.is_container_start:
                found[pk] = match
    return found


def alerts_with_entries(user: User, alerts: Iterable[Alert]) -> Iterator[dict[str, Any]]:
    """Yield the JSON of alerts as lists have it, with who entered the container."""
    for some in in_batches(alerts):
        matches = entry_matches(user, some)
        for alert in some:
            match = matches.get(alert.pk)
            yield {**alert_json(user, alert), "entered_by": match.as_json() if match else None}


def entered_by(user: User, alert: Alert) -> EntryMatch | None:
    """Return who entered the container of an alert; None where nobody did."""
    return entry_matches(user, [alert]).get(alert.pk)


def entered_people(user: User, alerts: Iterable[Alert]) -> list[str]:
    """Return in words who entered the containers of some alerts, each once, the surest first."""
    matches = sorted(
        entry_matches(user, alerts).values(), key=lambda each: list(EntryConfidence).index(each.confidence)
    )
    return list(dict.fromkeys(each.words for each in matches if each.confidence is not EntryConfidence.UNKNOWN))


def entered_by_json(user: User, alert: Alert) -> dict[str, Any] | None:
    """Return the same as JSON."""
    match = entered_by(user, alert)
    return match.as_json() if match else None


def _requests(
    pod_entries: QuerySet[PodEntry], entries: Sequence[SeenEntry]
) -> tuple[dict[tuple[int, str, str], list[RecordedRequest]], bool]:
    """Return the requests that may be those of the entries, by pod, and whether these are all."""
    condition = Q()
    for entry in entries:
        condition |= _condition(entry)
    rows = pod_entries.filter(condition).order_by("requested_at", "pk").values(*COLUMNS)
    found: dict[tuple[int, str, str], list[RecordedRequest]] = {}
    read = list(rows[:MAX_REQUESTS])
    for row in read:
        place = row["cluster_id"], row["namespace"], row["pod"]
        found.setdefault(place, []).append(_request(row))
    return found, len(read) < MAX_REQUESTS


def _condition(entry: SeenEntry) -> Q:
    place = Q(cluster=entry.cluster, namespace=entry.namespace, pod=entry.pod)
    if entry.is_container_start:
        return place & Q(kind="ephemeralcontainers")
    near = Q(kind="exec", requested_at__range=(entry.at - LIKELY_BEFORE, entry.at + LIKELY_AFTER))
    if not entry.claimed_id:
        return place & near
    around = (entry.at - CONFIRMED_WITHIN, entry.at + CONFIRMED_WITHIN)
    return place & (near | Q(audit_id=entry.claimed_id, requested_at__range=around))


def _request(row: dict[str, Any]) -> RecordedRequest:
    return RecordedRequest(
        audit_id=row["audit_id"],
        kind=row["kind"],
        container=row["container"],
        command=tuple(row["command"]),
        is_command_cut=row["is_command_cut"],
        user=row["username"],
        acting_as=row["acting_as"],
        address=row["address"],
        claimed_addresses=tuple(row["claimed_addresses"]),
        agent=row["agent"],
        requested_at=row["requested_at"],
        code=row["code"],
        is_erased=row["erased_at"] is not None,
        # Of a version that kept only the last.
        ephemeral_containers=tuple(row["ephemeral_containers"] or filter(None, [row["container"]])),
    )
