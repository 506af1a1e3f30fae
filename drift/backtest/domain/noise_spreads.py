"""Where and when something was seen: on which days, in which containers and workloads, with which contents."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final

from drift.backtest.domain.noise_evidence import NoiseEvidence, container_count

MIN_DAYS, MIN_CONTAINERS = 3, 2
COMMON_DAYS, COMMON_CONTAINERS = 7, 3
CHANGING_CONTENTS: Final = 20


class Spread:
    """On which days, in which containers and in which workloads, by any marks of these, something was seen."""

    __slots__ = ("containers", "days", "workloads")

    def __init__(self) -> None:
        self.days = 0
        self.containers = 0
        self.workloads: set[Hashable] = set()

    def add(self, row: NoiseEvidence, workload: Hashable) -> None:
        """Add a row."""
        self.days |= row.days
        self.containers |= row.containers
        self.workloads.add(workload)

    def join(self, other: Spread) -> None:
        """Add all that another has."""
        self.days |= other.days
        self.containers |= other.containers
        self.workloads |= other.workloads

    @property
    def first_day(self) -> int:
        return (self.days & -self.days).bit_length() - 1

    @property
    def last_day(self) -> int:
        return self.days.bit_length() - 1

    @property
    def day_count(self) -> int:
        return self.days.bit_count()

    @property
    def container_count(self) -> int:
        """At most 64."""
        return container_count(self.containers)

    @property
    def is_common(self) -> bool:
        return self.days.bit_count() >= COMMON_DAYS and self.container_count >= COMMON_CONTAINERS


class FamilySpread(Spread):
    """Where and when files of one family were seen, and each of their contents on which days."""

    __slots__ = ("_contents",)

    def __init__(self) -> None:
        super().__init__()
        self._contents: dict[str, int] = {}

    def add_contents(self, row: NoiseEvidence, workload: Hashable, contents: Mapping[str, int]) -> None:
        """Add a row, of which each content was seen on some days, given as bits."""
        self.add(row, workload)
        for content, days in contents.items():
            self._contents[content] = self._contents.get(content, 0) | days

    @property
    def is_changing(self) -> bool:
        """Whether it is common, and has many contents, most of them of one day alone."""
        single = sum(days.bit_count() == 1 for days in self._contents.values())
        is_varied = len(self._contents) >= CHANGING_CONTENTS and single * 2 >= len(self._contents)
        return is_varied and self.is_common
