"""Policy rules that ignore given alerts, as narrow as these allow.

A rule names every fact that its alerts share in few values. By content it lists the files' hashes, so that nothing else
is ever ignored; by place, for contents that always change, it needs the path, the writer and the session.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from drift.backtest.domain.noise_cells import Cell
from drift.backtest.domain.noise_evidence import NoiseEstate, NoiseEvidence
from sensor.names.images import bare_name
from sensor.names.owners import stable_container_name
from sensor.policy import LIMITS, check_rule
from sensor.policy.document_terms import DIGEST_PREFIX
from sensor.policy.globs import ANY, ONE
from sensor.policy.lint import lint_rule

NAMESPACE: Final = uuid.UUID("8d0f2f0e-5d0c-4d5c-9f4e-0d9f1c0b7a11")
MAX_CONTENTS: Final = LIMITS["allow_list"]
PATH: Final = "process_path"
Json = dict[str, Any]
Value = tuple[bool, str]
"""Whether it is a pattern, and the string."""


class RuleFact(NamedTuple):
    """A fact that rules may name: at most `most` values, else it is left out, or no rule is made if it is `needed`.

    `always`: needed by content too.
    """

    name: str
    scope: str
    most: int
    needed: bool = False
    always: bool = False


RULE_FACTS: Final = (
    RuleFact("cluster_name", "resource_scope", 12),
    RuleFact("namespace", "resource_scope", 24),
    RuleFact("container_name", "resource_scope", 8),
    RuleFact("image_name", "resource_scope", 12),
    RuleFact(PATH, "process_scope", 16, needed=True),
    RuleFact("parent_process", "process_scope", 8),
    RuleFact("drift_kind", "process_scope", 4, needed=True),
    RuleFact("session", "process_scope", 2),
    RuleFact("written_in_session", "process_scope", 1),
    RuleFact("written_by", "process_scope", 8, needed=True, always=True),
    RuleFact("writer_origin", "process_scope", 3, needed=True, always=True),
)
PATH_PLACE: Final = next(place for place, fact in enumerate(RULE_FACTS) if fact.name == PATH)


class NoiseRules:
    """Makes rules of cells, given by their numbers."""

    def __init__(self, estate: NoiseEstate, cells: Sequence[Cell], expires_at: str) -> None:
        self._estate, self._cells, self._expires_at = estate, cells, expires_at
        self._values: dict[int, tuple[str, ...]] = {}

    def rule(self, numbers: Collection[int], *, by_content: bool) -> Json | None:
        """Return the narrowest rule that ignores these cells; None where there is no narrow one.

        It lacks a name and a place in the list (`named`). Its id follows from what it says.
        """
        rows = [self._cells[number].row for number in numbers]
        contents = sorted({each for number in numbers for each in self._cells[number].contents}) if by_content else []
        if len(contents) > MAX_CONTENTS or "" in contents:
            return None
        scopes: dict[str, list[Json]] = {"resource_scope": [], "process_scope": []}
        columns = zip(*[self._facts(number) for number in numbers], strict=True)
        for fact, column in zip(RULE_FACTS, columns, strict=True):
            if fact.name == PATH:
                values = self._path_values(numbers, fact.most, by_content=by_content)
            else:
                values = _plain_values(set(column), fact.most)
            if values is None:
                if fact.always or (fact.needed and not by_content):
                    return None
                continue
            any_of = [
                {"operator": "matches" if is_pattern else "equals", "value": value} for is_pattern, value in values
            ]
            scopes[fact.scope].append({"property": fact.name, "any_of": any_of})
        if not _has_place(scopes["resource_scope"]):
            return None
        rule: Json = {
            "action": "ignore",
            "cloud_scope": self._cloud_scope(rows),
            **scopes,
            "allow_list": [f"{DIGEST_PREFIX}{content}" for content in contents],
            "unlisted": "next_rule" if by_content else "decide",
            "enabled": True,
            "expires_at": self._expires_at,
        }
        rule["id"] = str(uuid.uuid5(NAMESPACE, msgspec.json.encode(rule).decode()))
        return rule

    def _facts(self, number: int) -> tuple[str, ...]:
        """Return the cell's values of RULE_FACTS; its path's is its shape."""
        known = self._values.get(number)
        if known is None:
            row = self._cells[number].row
            known = self._values[number] = tuple(_READERS[fact.name](self._estate, row) for fact in RULE_FACTS)
        return known

    def _path_values(self, numbers: Collection[int], most: int, *, by_content: bool) -> list[Value] | None:
        """Return the paths, or their shapes where the paths are too many, or always change."""
        paths: set[str] = set()
        for number in numbers:
            paths |= set(self._cells[number].paths)
            if len(paths) > most:
                break
        if by_content and len(paths) <= most and all(len(path) <= LIMITS["value"] for path in paths):
            return [(False, path) for path in sorted(paths)]
        shapes = {self._facts(number)[PATH_PLACE] for number in numbers}
        if "" in shapes or len(shapes) > most or any(len(shape) > LIMITS["value"] for shape in shapes):
            return None
        return [(ANY in shape or ONE in shape, shape) for shape in sorted(shapes)]

    def _cloud_scope(self, rows: Iterable[NoiseEvidence]) -> list[Json]:
        accounts: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            flat = self._estate.workloads[row.workload].flat
            accounts[flat["provider"]].add(flat["account"])
        return [{"provider": provider, "accounts": sorted(accounts[provider])} for provider in sorted(accounts)]


def is_proposable(rule: Json) -> bool:
    """Return whether a rule is valid and free of lint, which takes longer than making it."""
    shown = named(rule, "Noise budget", "Noise budget", "")
    return not check_rule(shown) and not lint_rule(shown)


def named(rule: Json, name: str, description: str, note: str) -> Json:
    """Return the rule with its texts, cut to what rules may have."""
    return {
        **rule,
        "name": name[: LIMITS["name"]],
        "scope_description": description[: LIMITS["scope_description"]],
        "note": note[: LIMITS["note"]],
    }


def _has_place(conditions: Iterable[Json]) -> bool:
    """Return whether a resource scope names an image or a namespace: a rule for every container is never made."""
    return not {"image_name", "namespace"}.isdisjoint(each["property"] for each in conditions)


def _plain_values(values: set[str], most: int) -> list[Value] | None:
    """Return the values; None where the fact has to be left out: no condition holds for what is unknown."""
    if "" in values or len(values) > most or any(len(value) > LIMITS["value"] for value in values):
        return None
    return [(False, value) for value in sorted(values)]


def _image(estate: NoiseEstate, row: NoiseEvidence) -> str:
    return bare_name(estate.workloads[row.workload].image_name)


def _container(estate: NoiseEstate, row: NoiseEvidence) -> str:
    workload = estate.workloads[row.workload]
    return stable_container_name(workload.owner_kind, workload.container_name)


_READERS: Final[dict[str, Callable[[NoiseEstate, NoiseEvidence], str]]] = {
    "cluster_name": lambda estate, row: estate.workloads[row.workload].flat["cluster_name"] or "",
    "namespace": lambda estate, row: estate.workloads[row.workload].namespace,
    "container_name": _container,
    "image_name": _image,
    PATH: lambda estate, row: estate.shapes[estate.files[row.file].path],
    "parent_process": lambda _, row: row.parent,
    "drift_kind": lambda estate, row: estate.files[row.file].kind,
    "session": lambda estate, row: estate.fact(row, "session"),
    "written_in_session": lambda estate, row: estate.fact(row, "written_in_session"),
    "written_by": lambda estate, row: estate.fact(row, "written_by"),
    "writer_origin": lambda estate, row: estate.fact(row, "writer_origin"),
}


def most_common(counts: Mapping[str, int], most: int) -> str:
    """Return the most frequent values in words: "a, b and 3 others"."""
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = [value for value, _ in ranked[:most]]
    rest = len(ranked) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} other{'s' if rest > 1 else ''}"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
