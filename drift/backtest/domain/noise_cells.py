"""Evidence with equal facts, but for what is drawn in its paths: a noise budget weighs it as one *cell*.

An estate has few cells beside its rows, since most of its noise is the same again in the next place or on the next day.
Contents that come about too seldom to be known are told apart by nothing but what matters of them: most of an estate's
contents are such, since builds and updates make new ones each day.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Hashable, Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Final, NamedTuple

from drift.backtest.domain.noise_evidence import DAY, NoiseEstate, NoiseEvidence, container_count
from drift.backtest.domain.noise_spreads import MIN_CONTAINERS, MIN_DAYS
from drift.backtest.domain.noise_workloads import WorkloadSpreads
from drift.backtest.domain.path_shapes import numbered_shape

MEMORY_DIRECTORIES: Final = ("memfd:", "/memfd:", "/dev/shm/", "/run/shm/", "/dev/fd/", "/proc/")  # noqa: S108 - compared
YOUNG: Final = 3 * DAY


class Cell(NamedTuple):
    """Rows, by their places in the estate, that a budget can't tell apart.

    `row` is that of the first path, with all their days, containers and executions; `paths` are those of their files,
    each once; `contents` are the days, as bits, of each content: of one alone, unless they `are_rare`.
    """

    row: NoiseEvidence
    places: tuple[int, ...]
    paths: tuple[str, ...]
    contents: Mapping[str, int]
    are_rare: bool = False


class Contents:
    """What is known of contents over the whole estate and period, by their hashes."""

    def __init__(self, estate: NoiseEstate) -> None:
        self._estate = estate
        self._young_since = (estate.until - YOUNG).timestamp()
        self._known_since = _first_moments(estate)
        self._recurring = _recurring(estate)

    def is_young(self, content: str) -> bool:
        """Return whether a content was first seen a short time ago."""
        return self._known_since[content] > self._young_since

    def is_rare(self, content: str) -> bool:
        """Return whether a content was seen on too few days, or in too few containers, in whatever way it came about.

        What could not be hashed is not one content.
        """
        return content not in self._recurring and content != ""

    def mark(self, content: str) -> Hashable:
        """Return what tells a content from others: of a rare one, what may keep it from being absorbed."""
        if not self.is_rare(content):
            return content
        estate = self._estate
        return self.is_young(content), content in estate.bad_contents, content in estate.attack_contents


class _FileClass(NamedTuple):
    """What a cell's files share. `path` is given where the content is not known."""

    content: Hashable
    shape: str
    name: str
    kind: str
    is_memory: bool
    path: str


def noise_cells(estate: NoiseEstate, contents: Contents, workloads: WorkloadSpreads) -> list[Cell]:
    """Return the cells of all the estate's rows, in the order of their first rows."""
    classes = _file_classes(estate, contents)
    kinds = {pk: workloads.kind(pk) for pk in estate.workloads}
    attacks = {fingerprint.int for fingerprint in estate.attacks}
    attacked = _attacked_shapes(estate)
    found: dict[Hashable, list[int]] = {}
    for place, row in enumerate(estate.paced(estate.rows)):
        fingerprint, workload, file, provenance, parent, rule, action, _, _, _, _, lossy = row
        near = attacked.get(workload)
        key = (
            *(kinds[workload], classes[file], provenance, parent, rule, action, lossy),
            fingerprint.int if fingerprint.int in attacks else None,
            near is not None and estate.shapes.numbered(estate.files[file].path) in near,
        )
        places = found.get(key)
        if places is None:
            found[key] = [place]
        else:
            places.append(place)
    return [_cell(estate, contents, places) for places in estate.paced(found.values())]


def single_cells(estate: NoiseEstate, places: Iterable[int]) -> list[Cell]:
    """Return a cell for each of these rows."""
    return [_single_cell(estate, place, are_rare=False) for place in places]


def is_memory(kind: str, path: str) -> bool:
    """Return whether a file ran from memory."""
    return kind == "fileless" or path.startswith(MEMORY_DIRECTORIES)


def attack_shapes(estate: NoiseEstate) -> dict[uuid.UUID, set[str]]:
    """Return the shapes of the paths of true positives, by the workloads' scopes."""
    found: dict[uuid.UUID, set[str]] = {}
    for scope, path in estate.attack_files:
        shapes = found.setdefault(scope, set())
        shapes.add(numbered_shape(path))
    return found


def _first_moments(estate: NoiseEstate) -> dict[str, float]:
    """Return since when each content is known: by its files' first days, whose last moment counts, or its events.

    Events count by when the portal received them: a sensor that dates them back makes no content older.
    """
    days: dict[str, dt.date] = {}
    for file in estate.files.values():
        day = days.get(file.sha256)
        if day is None or file.first_seen_on < day:
            days[file.sha256] = file.first_seen_on
    midnight = dt.time(tzinfo=dt.UTC)
    moments = {day: dt.datetime.combine(day + DAY, midnight).timestamp() for day in set(days.values())}
    known = {content: moments[day] for content, day in days.items()}
    for row in estate.paced(estate.rows):
        content = estate.files[row.file].sha256
        known[content] = min(known[content], row.first_received)
    return known


def _recurring(estate: NoiseEstate) -> set[str]:
    """Return the contents that were seen on some days and in some containers."""
    days: dict[str, int] = {}
    containers: dict[str, int] = {}
    for row in estate.paced(estate.rows):
        content = estate.files[row.file].sha256
        days[content] = days.get(content, 0) | row.days
        containers[content] = containers.get(content, 0) | row.containers
    return {
        content
        for content, seen in days.items()
        if seen.bit_count() >= MIN_DAYS and container_count(containers[content]) >= MIN_CONTAINERS
    }


def _attacked_shapes(estate: NoiseEstate) -> dict[int, set[str]]:
    shapes = attack_shapes(estate)
    return {pk: shapes[each.scope] for pk, each in estate.workloads.items() if each.scope in shapes} if shapes else {}


def _file_classes(estate: NoiseEstate, contents: Contents) -> dict[int, int]:
    """Return the number of each file's class."""
    shapes = estate.shapes
    numbers: dict[_FileClass, int] = {}
    found = {}
    for pk, (path, name, sha256, kind, _) in estate.paced(estate.files.items()):
        memory, path_alone = is_memory(kind, path), "" if sha256 else path
        each = _FileClass(contents.mark(sha256), shapes[path], shapes.name(path, name), kind, memory, path_alone)
        found[pk] = numbers.setdefault(each, len(numbers))
    return found


def _cell(estate: NoiseEstate, contents: Contents, places: list[int]) -> Cell:
    are_rare = contents.is_rare(estate.files[estate.rows[places[0]].file].sha256)
    if len(places) == 1:
        return _single_cell(estate, places[0], are_rare=are_rare)
    rows = [estate.rows[place] for place in places]
    files = [estate.files[row.file] for row in rows]
    days: dict[str, int] = {}
    for row, file in zip(rows, files, strict=True):
        days[file.sha256] = days.get(file.sha256, 0) | row.days
    paths = [file.path for file in files]
    row = rows[paths.index(min(paths))]._replace(
        days=reduce(or_, days.values()),
        containers=reduce(or_, [each.containers for each in rows]),
        execs=sum(each.execs for each in rows),
    )
    return Cell(row, tuple(places), tuple(sorted(set(paths))), days, are_rare)


def _single_cell(estate: NoiseEstate, place: int, *, are_rare: bool) -> Cell:
    row = estate.rows[place]
    file = estate.files[row.file]
    return Cell(row, (place,), (file.path,), {file.sha256: row.days}, are_rare)
