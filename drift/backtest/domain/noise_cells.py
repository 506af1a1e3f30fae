"""Evidence with equal facts, but for what is drawn in its paths: a noise budget weighs it as one *cell*.

An estate has few cells beside its rows, since most of its noise is the same again in the next place or on the next day.
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Iterable
from functools import reduce
from operator import or_
from typing import Final, NamedTuple

from drift.backtest.domain.noise_evidence import NoiseEstate, NoiseEvidence
from drift.backtest.domain.path_shapes import numbered_shape

MEMORY_DIRECTORIES: Final = ("memfd:", "/memfd:", "/dev/shm/", "/run/shm/", "/dev/fd/", "/proc/")  # noqa: S108 - compared


class Cell(NamedTuple):
    """Rows, by their places in the estate, that a budget can't tell apart.

    `row` is that of the first path, with all their days, containers and executions, and when the first was received;
    `paths` are those of their files, each once.
    """

    row: NoiseEvidence
    places: tuple[int, ...]
    paths: tuple[str, ...]


class _FileClass(NamedTuple):
    """What a cell's files share. `path` is given where the content is not known."""

    sha256: str
    shape: str
    name: str
    kind: str
    is_memory: bool
    path: str


def noise_cells(estate: NoiseEstate) -> list[Cell]:
    """Return the cells of all the estate's rows, in the order of their first rows."""
    classes = _file_classes(estate)
    attacks = {fingerprint.int for fingerprint in estate.attacks}
    attacked = _attacked_shapes(estate)
    found: dict[Hashable, list[int]] = {}
    for place, row in enumerate(estate.rows):
        file = row.file
        number = row.fingerprint.int
        near = attacked.get(row.workload)
        key = (
            *(row.workload, classes[file], row.provenance, row.parent, row.rule, row.action, row.lossy),
            number if number in attacks else None,
            near is not None and estate.shapes.numbered(estate.files[file].path) in near,
        )
        places = found.get(key)
        if places is None:
            found[key] = [place]
        else:
            places.append(place)
    return [_cell(estate, places) for places in found.values()]


def single_cells(estate: NoiseEstate, places: Iterable[int]) -> list[Cell]:
    """Return a cell for each of these rows."""
    return [_cell(estate, [place]) for place in places]


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


def _attacked_shapes(estate: NoiseEstate) -> dict[int, set[str]]:
    shapes = attack_shapes(estate)
    return {pk: shapes[each.scope] for pk, each in estate.workloads.items() if each.scope in shapes} if shapes else {}


def _file_classes(estate: NoiseEstate) -> dict[int, int]:
    """Return the number of each file's class."""
    shapes = estate.shapes
    numbers: dict[_FileClass, int] = {}
    found = {}
    for pk, (_, path, name, sha256, kind, _) in estate.files.items():
        memory = is_memory(kind, path)
        each = _FileClass(sha256, shapes[path], shapes.name(path, name), kind, memory, "" if sha256 else path)
        found[pk] = numbers.setdefault(each, len(numbers))
    return found


def _cell(estate: NoiseEstate, places: list[int]) -> Cell:
    rows = [estate.rows[place] for place in places]
    if len(rows) == 1:
        return Cell(rows[0], tuple(places), (estate.files[rows[0].file].path,))
    row = min(rows, key=lambda each: estate.files[each.file].path)._replace(
        days=reduce(or_, [each.days for each in rows]),
        containers=reduce(or_, [each.containers for each in rows]),
        execs=sum(each.execs for each in rows),
        first_received=min(each.first_received for each in rows),
    )
    return Cell(row, tuple(places), tuple(sorted({estate.files[each.file].path for each in rows})))
