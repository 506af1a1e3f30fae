"""What a noise budget decides on: alerting events of a period by their facts, and the budget itself.

An *alert of a day* is a fingerprint with an alerting event on that UTC day. Days are bits of an integer, the period's
first day lowest. Containers are bits too, so that rows can be added up: each sets one of 64, by its id's hash, in each
window of eight days in which it was seen.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

from drift.backtest.domain.path_shapes import PathShapes
from sensor.names.images import bare_name

_Item = TypeVar("_Item")
MAX_DAYS: Final = 30
DAY: Final = dt.timedelta(days=1)
WINDOW_DAYS, WINDOWS, WINDOW_BITS = 8, 4, 64
EVERY_DAY, ON_AVERAGE = "every_day", "average"
PACE: Final = 1_000
"""Items between two questions whether to continue: some milliseconds."""


class NoiseWorkload(NamedTuple):
    """A workload: `flat` are its facts for policies; an empty string means unknown."""

    flat: Mapping[str, Any]
    scope: uuid.UUID
    environment_id: int
    cluster_id: int
    namespace: str
    owner_kind: str
    owner_name: str
    container_name: str
    image_name: str
    image_digest: str
    first_seen_on: dt.date


class NoiseFile(NamedTuple):
    """A file. `sha256` is empty where it could not be hashed."""

    path: str
    name: str
    sha256: str
    kind: str
    first_seen_on: dt.date


class NoiseEvidence(NamedTuple):
    """Alerting events of one fingerprint with equal facts. `rule` and `action` are the base policy's decision.

    `first_received` is in seconds since 1970. `lossy`: they were in periods in which their sensor counted losses.
    """

    fingerprint: uuid.UUID
    workload: int
    file: int
    provenance: int
    parent: str
    rule: str
    action: str
    days: int
    execs: int
    first_received: float
    containers: int
    lossy: bool


class Family(NamedTuple):
    """What files share that come about in one way; `image` is casefolded and without a tag."""

    image: str
    shape: str
    kind: str
    writer: str
    origin: str
    writer_parent: str
    session: str
    parent: str


@dataclass(frozen=True)
class NoisePlace:
    """Where a budget holds; None or "": anywhere."""

    environment: int | None = None
    cluster: int | None = None
    namespace: str = ""

    def holds(self, workload: NoiseWorkload) -> bool:
        """Return whether the workload is in it."""
        return (
            self.environment in (None, workload.environment_id)
            and self.cluster in (None, workload.cluster_id)
            and self.namespace in ("", workload.namespace)
        )


@dataclass(frozen=True)
class NoiseBudget:
    """At most `alerts` a day in `place`, on every day or on average; `changing`: also where contents always change."""

    alerts: int
    place: NoisePlace = NoisePlace()
    measure: str = EVERY_DAY
    changing: bool = False


class Refusal(StrEnum):
    """Why an alert is not absorbed; the first that applies, in this order."""

    MEMORY = "memory"
    PERSON = "person"
    TRUE_POSITIVE = "true_positive"
    KNOWN_BAD = "known_bad"
    BLOCKED = "blocked"
    LOSSES = "losses"
    UNKNOWN_WRITER = "unknown_writer"
    UNHASHED = "unhashed"
    YOUNG = "young"
    ONE_OFF = "one_off"
    RARE = "rare"
    LATE = "late"
    EXPOSED = "exposed"
    DECODED = "decoded"
    NO_RULE = "no_rule"


REFUSAL_LABELS: Final[Mapping[str, str]] = {
    Refusal.MEMORY: "Runs from memory",
    Refusal.PERSON: "Started or written by somebody who entered the container",
    Refusal.TRUE_POSITIVE: "Resolved as true positive, or the same content or path as one",
    Refusal.KNOWN_BAD: "On a list of known-bad files",
    Refusal.BLOCKED: "Blocked by a rule",
    Refusal.LOSSES: "Ran while its sensor lost events, and is hardly known otherwise",
    Refusal.UNKNOWN_WRITER: "Writer unknown",
    Refusal.UNHASHED: "Content unknown: the file could not be hashed",
    Refusal.YOUNG: "Content first seen less than 3 days ago",
    Refusal.ONE_OFF: "Pod that ran once",
    Refusal.RARE: "Seen on fewer than 3 days, or in a single container",
    Refusal.LATE: "Began while its image was running, in few of its containers and workloads",
    Refusal.EXPOSED: "Downloaded or started by a service, on fewer than 7 days or in fewer than 3 containers",
    Refusal.DECODED: "Written by a decoder of text (base64, xxd, openssl …), however often",
    Refusal.NO_RULE: "No narrow rule covers it",
}


@dataclass
class NoiseEstate:
    """The evidence of a period, and what is known of its workloads, files and writers, by the ids of their rows.

    `attacks` are fingerprints, and `attack_files` pairs of workload scope and path, of true positives;
    `attack_contents` and `bad_contents` are hashes. `verdicts` are the
    stored alerts: each one's fingerprint, as a number, and its resolution. Provenance 0 is unknown. `numbered` are the
    shapes of paths by themselves, as far as they are known already. `proceed` raises where the run is cancelled.
    """

    first_day: dt.date
    until: dt.datetime
    rows: list[NoiseEvidence] = field(default_factory=list)
    workloads: dict[int, NoiseWorkload] = field(default_factory=dict)
    files: dict[int, NoiseFile] = field(default_factory=dict)
    provenances: dict[int, Mapping[str, str | None]] = field(default_factory=lambda: {0: {}})
    attacks: set[uuid.UUID] = field(default_factory=set)
    attack_files: set[tuple[uuid.UUID, str]] = field(default_factory=set)
    attack_contents: set[str] = field(default_factory=set)
    bad_contents: set[str] = field(default_factory=set)
    verdicts: list[tuple[int, str]] = field(default_factory=list)
    numbered: dict[str, str] = field(default_factory=dict)
    proceed: Callable[[], object] = bool
    _families: dict[tuple[int, int, int, str], Family] = field(default_factory=dict)
    _images: dict[int, str] = field(default_factory=dict)

    @property
    def days(self) -> int:
        """The days of the period, today included."""
        return (self.until.date() - self.first_day).days + 1

    @cached_property
    def shapes(self) -> PathShapes:
        """The shapes of all its files' paths; to be read once they are known."""
        return PathShapes((file.path for file in self.files.values()), self.numbered)

    def paced(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items, and ask now and then whether to continue."""
        for number, item in enumerate(items):
            if not number % PACE:
                self.proceed()
            yield item

    def family(self, row: NoiseEvidence) -> Family:
        """Return what files share that come about in one way."""
        key = row.workload, row.file, row.provenance, row.parent
        known = self._families.get(key)
        if known is None:
            file, provenance = self.files[row.file], self.provenances[row.provenance]
            known = self._families[key] = Family(
                self.image(row.workload),
                self.shapes[file.path],
                file.kind,
                provenance.get("written_by") or "",
                provenance.get("writer_origin") or "",
                provenance.get("written_by_parent") or "",
                provenance.get("session") or "",
                row.parent,
            )
        return known

    def image(self, workload: int) -> str:
        """Return the casefolded name, without tag and digest, of a workload's image."""
        known = self._images.get(workload)
        if known is None:
            known = self._images[workload] = bare_name(self.workloads[workload].image_name).casefold()
        return known

    def fact(self, row: NoiseEvidence, name: str) -> str:
        """Return one of the row's provenance facts; "" where it is unknown."""
        return self.provenances[row.provenance].get(name) or ""


def container_count(containers: int, first: int = 0, last: int = MAX_DAYS) -> int:
    """Return how many containers, at most 64, were seen in the windows from the day `first` to the day `last`."""
    found = 0
    for window in range(first // WINDOW_DAYS, min(last // WINDOW_DAYS, WINDOWS - 1) + 1):
        found |= containers >> (WINDOW_BITS * window)
    return (found & ((1 << WINDOW_BITS) - 1)).bit_count()


def day_numbers(days: int) -> list[int]:
    """Return the places of the bits that are set, the lowest first."""
    found = []
    while days:
        low = days & -days
        found.append(low.bit_length() - 1)
        days ^= low
    return found
