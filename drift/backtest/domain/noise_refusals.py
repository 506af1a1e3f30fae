"""What a noise budget refuses to absorb, and why (docs/noise-budget.md#what-it-refuses)."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from drift.alerts.domain.program_names import DECODERS, DOWNLOADERS, LOGIN_DAEMONS, PARSERS, SERVERS
from drift.backtest.domain.noise_evidence import (
    DAY,
    NoiseEstate,
    NoiseEvidence,
    Refusal,
    container_count,
    day_numbers,
)
from drift.backtest.domain.path_shapes import numbered_shape

MEMORY_DIRECTORIES: Final = ("memfd:", "/memfd:", "/dev/shm/", "/run/shm/", "/dev/fd/", "/proc/")  # noqa: S108 - compared
YOUNG: Final = 3 * DAY
MIN_DAYS, MIN_CONTAINERS = 3, 2
COMMON_DAYS, COMMON_CONTAINERS = 7, 3
EXPOSED: Final = DOWNLOADERS | SERVERS | PARSERS | LOGIN_DAEMONS
"""Programs that strangers reach, or that fetch what strangers wrote."""
LATE_DAYS: Final = 2
SETTLED_WORKLOADS, SETTLED_DAYS, SETTLED_CONTAINERS = 3, 10, 6
"""In so many workloads, or on so many days and in so many containers, a file that began late has settled."""
OWN_SESSIONS: Final = frozenset({"", "workload", "init"})
"""Of the container's own processes, or unknown. A person may run the very command of a probe."""
ONE_OFF_KINDS: Final = ("", "Pod", "Job")
"""Owners that may stand for one pod alone."""
CHANGING_CONTENTS: Final = 20
CHANGE_REASONS: Final = frozenset({Refusal.YOUNG, Refusal.RARE, Refusal.LOSSES, Refusal.LATE})
"""What follows from a content that is new each time, and what says little of established noise."""


@dataclass
class Spread:
    """On which days, in which containers and workloads something was seen, and each content on which days."""

    days: int = 0
    containers: int = 0
    workloads: set[uuid.UUID] = field(default_factory=set)
    contents: dict[str, int] = field(default_factory=dict)

    def add(self, row: NoiseEvidence, workload: uuid.UUID, content: str) -> None:
        """Add a row."""
        self.days |= row.days
        self.containers |= row.containers
        self.workloads.add(workload)
        self.contents[content] = self.contents.get(content, 0) | row.days

    @property
    def day_count(self) -> int:
        return self.days.bit_count()

    @property
    def is_common(self) -> bool:
        return self.day_count >= COMMON_DAYS and self.container_count >= COMMON_CONTAINERS

    @cached_property
    def is_changing(self) -> bool:
        """Whether there are many contents, most of them of one day alone; to be read once all rows are added."""
        single = sum(days.bit_count() == 1 for days in self.contents.values())
        return len(self.contents) >= CHANGING_CONTENTS and single * 2 >= len(self.contents)

    @property
    def container_count(self) -> int:
        """At most 64."""
        return container_count(self.containers)


class RefusalTable:
    """Finds each row's refusal. What is known of a content is counted over the whole estate and period."""

    def __init__(self, estate: NoiseEstate, *, changing: bool) -> None:
        self._estate, self._changing = estate, changing
        self._contents: defaultdict[Hashable, Spread] = defaultdict(Spread)
        self._families: defaultdict[Hashable, Spread] = defaultdict(Spread)
        self._releases: defaultdict[Hashable, Spread] = defaultdict(Spread)
        self._owners: defaultdict[Hashable, Spread] = defaultdict(Spread)
        self._known_since = self._first_moments()
        self._attack_shapes = {(scope, numbered_shape(path)) for scope, path in estate.attack_files}
        for row in estate.rows:
            if not self._is_person(row):
                for spreads, key in self._keys(row):
                    spreads[key].add(row, estate.workloads[row.workload].scope, estate.files[row.file].sha256)

    def refusals(self) -> list[Refusal | None]:
        """Return the refusal of each row of the estate; None: it may be absorbed."""
        return [self._waived(row, self._refusal(row)) for row in self._estate.rows]

    def _waived(self, row: NoiseEvidence, refusal: Refusal | None) -> Refusal | None:
        """Return the refusal, None where what is known besides outweighs it."""
        if refusal is Refusal.LOSSES and self._is_established(row):
            return None
        return None if self._changing and refusal in CHANGE_REASONS and self._is_changing(row) else refusal

    def _keys(self, row: NoiseEvidence) -> list[tuple[defaultdict[Hashable, Spread], Hashable]]:
        # What ran while events were lost counts for its release alone, beside which others then look late.
        release = self._releases, self._release_key(row)
        if row.lossy:
            return [release]
        return [
            release,
            (self._contents, self._content_key(row)),
            (self._owners, self._estate.workloads[row.workload].scope),
            *((self._families, key) for key in changing_keys(self._estate, row)),
        ]

    def _content_key(self, row: NoiseEvidence) -> Hashable:
        """The directory is left out, since a content is named by its hash."""
        estate, file = self._estate, self._estate.files[row.file]
        image, _, *ways = estate.family(row)
        return (image, file.sha256, numbered_shape(file.name), *ways)

    def _release_key(self, row: NoiseEvidence) -> Hashable:
        workload = self._estate.workloads[row.workload]
        return workload.image_digest or workload.image_name

    def _first_moments(self) -> dict[str, dt.datetime]:
        """Return since when each content is known: by its files' first days, whose last moment counts, or its events.

        Events count by when the portal received them: a sensor that dates them back makes no content older.
        """
        known: dict[str, dt.datetime] = {}
        midnight = dt.time(tzinfo=dt.UTC)
        for file in self._estate.files.values():
            moment = dt.datetime.combine(file.first_seen_on + DAY, midnight)
            known[file.sha256] = min(moment, known.get(file.sha256, moment))
        for row in self._estate.rows:
            content = self._estate.files[row.file].sha256
            known[content] = min(known[content], row.first_received)
        return known

    def _is_person(self, row: NoiseEvidence) -> bool:
        sessions = {self._estate.fact(row, "session"), self._estate.fact(row, "written_in_session")}
        return not sessions <= OWN_SESSIONS

    def _refusal(self, row: NoiseEvidence) -> Refusal | None:
        estate = self._estate
        workload, file = estate.workloads[row.workload], estate.files[row.file]
        is_attack = (
            row.fingerprint in estate.attacks
            or (file.sha256 and file.sha256 in estate.attack_contents)
            or (not file.sha256 and (workload.scope, file.path) in estate.attack_files)
        )
        is_known = estate.fact(row, "written_by") and estate.fact(row, "writer_origin") in ("image", "runtime", "drift")
        reasons = (
            (Refusal.MEMORY, file.kind == "fileless" or file.path.startswith(MEMORY_DIRECTORIES)),
            (Refusal.PERSON, self._is_person(row)),
            (Refusal.TRUE_POSITIVE, is_attack),
            (Refusal.KNOWN_BAD, file.sha256 in estate.bad_contents),
            (Refusal.BLOCKED, row.action == "block"),
            (Refusal.LOSSES, row.lossy),
            (Refusal.UNKNOWN_WRITER, not is_known),
            (Refusal.UNHASHED, not file.sha256),
            (Refusal.YOUNG, estate.until - self._known_since[file.sha256] < YOUNG),
        )
        return next((reason for reason, holds in reasons if holds), None) or self._evidence_refusal(row)

    def _evidence_refusal(self, row: NoiseEvidence) -> Refusal | None:
        """Return the refusal for want of evidence that the file belongs to how its workload is made."""
        seen = self._contents[self._content_key(row)]
        reasons = (
            (Refusal.ONE_OFF, self._is_one_off(row)),
            (Refusal.RARE, seen.day_count < MIN_DAYS or seen.container_count < MIN_CONTAINERS),
            (Refusal.LATE, bool(seen.days) and self._is_late(row, seen)),
            (Refusal.EXPOSED, self._is_exposed(row) and not seen.is_common),
            (Refusal.DECODED, self._estate.fact(row, "written_by_name") in DECODERS),
        )
        return next((reason for reason, holds in reasons if holds), None)

    def _is_late(self, row: NoiseEvidence, seen: Spread) -> bool:
        """Return whether the file began some days after its image, and has not settled since."""
        release = self._releases[self._release_key(row)]
        days = day_numbers(seen.days)
        if days[0] <= day_numbers(release.days)[0] + LATE_DAYS or len(seen.workloads) >= SETTLED_WORKLOADS:
            return False
        if seen.day_count >= SETTLED_DAYS and seen.container_count >= SETTLED_CONTAINERS:
            return False
        others = container_count(release.containers, days[0], days[-1])
        return container_count(seen.containers, days[0], days[-1]) * 2 < others

    def _is_one_off(self, row: NoiseEvidence) -> bool:
        workload = self._estate.workloads[row.workload]
        return workload.owner_kind in ONE_OFF_KINDS and self._owners[workload.scope].container_count < MIN_CONTAINERS

    def _is_exposed(self, row: NoiseEvidence) -> bool:
        programs = {row.parent, self._estate.fact(row, "written_by_name"), self._estate.fact(row, "written_by_parent")}
        return not programs.isdisjoint(EXPOSED)

    def _is_established(self, row: NoiseEvidence) -> bool:
        """Return whether the content is well known without what ran while sensors lost events."""
        if self._refusal(row._replace(lossy=False)) is not None:
            return False
        return self._contents[self._content_key(row)].is_common

    def _is_changing(self, row: NoiseEvidence) -> bool:
        """Return whether the row is of a family whose content is new each time, written by the image's own program."""
        estate = self._estate
        if estate.fact(row, "writer_origin") != "image" or estate.fact(row, "session") != "workload":
            return False
        place = estate.workloads[row.workload].scope, numbered_shape(estate.files[row.file].path)
        if self._estate.fact(row, "written_by_name") in DECODERS:
            return False
        if self._is_exposed(row) or self._is_one_off(row) or place in self._attack_shapes:
            return False
        families = (self._families[key] for key in changing_keys(estate, row))
        return any(family.is_changing and family.is_common for family in families)


def changing_keys(estate: NoiseEstate, row: NoiseEvidence) -> list[tuple[Hashable, ...]]:
    """Return the families in which the row's content may always change: of its image, and of its namespace."""
    image, *ways = estate.family(row)
    workload = estate.workloads[row.workload]
    return [("image", image, *ways), ("namespace", workload.cluster_id, workload.namespace, *ways)]
