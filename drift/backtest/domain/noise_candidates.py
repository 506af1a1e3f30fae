"""The rules that a noise budget may choose from: one for each group of alerts that have something in common."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from drift.backtest.domain.noise_evidence import NoiseBudget, NoiseEstate, NoiseEvidence, Refusal
from drift.backtest.domain.noise_refusals import CHANGING_CONTENTS, changing_keys
from drift.backtest.domain.noise_rules import MAX_CONTENTS, Json, noise_rule
from sensor.names.images import bare_name
from sensor.policy import PolicyPair
from sensor.policy.properties import FILE_PROPERTIES, PROVENANCE_PROPERTIES

MAX_CANDIDATES: Final = 300
"""Those of the largest groups; as many rules are compiled and compared with each row."""
MAX_PARTS: Final = 12
"""Rules that one group is divided among, a hundred contents each."""
ROUNDS: Final = 3
"""How often contents that a rule must not ignore are taken out of it."""
MAX_WIDTHS: Final = (1, 4, 12)
"""Pairs of workload and content that a rule may allow beside each that was seen: more only where fewer don't do."""
WIDE: Final = 10_000
"""The width of a rule by place, beside which no rule by content is wide."""
Report = Callable[[float], None]


class Group(NamedTuple):
    """Rows, by their places in the estate, that one rule may ignore. `key` orders groups of one size."""

    key: str
    places: tuple[int, ...]
    by_content: bool


@dataclass(frozen=True)
class Candidate:
    """A rule, the rows that it ignores by their places, and how much more it allows than was seen (`width`).

    `reach` is the least of MAX_WIDTHS that admits it.
    """

    rule: Json
    places: frozenset[int]
    width: int
    by_content: bool
    reach: int = MAX_WIDTHS[0]


def candidates(
    estate: NoiseEstate, refusals: Sequence[Refusal | None], budget: NoiseBudget, expires_at: str
) -> list[Candidate]:
    """Return rules that ignore no refused row, in a fixed order."""
    groups = _groups(estate, refusals, budget)
    found: dict[str, Candidate] = {}
    for _ in range(ROUNDS):
        made = [(each, _group_rule(estate, each, expires_at)) for each in groups]
        rules = {rule["id"]: (rule, group) for group, rule in made if rule is not None}
        matched = ignored_rows(estate, [rule for rule, _ in rules.values()])
        groups = []
        for (rule, group), places in zip(rules.values(), matched, strict=True):
            refused = {
                place for place in places if refusals[place] is not None or not _is_inside(estate, budget, place)
            }
            if refused:
                groups += _without(estate, group, refused)
            else:
                width, seen = _width(estate, places, by_content=group.by_content)
                reach = next((each for each in MAX_WIDTHS if not group.by_content or width <= each * seen), None)
                if reach is not None:
                    found[rule["id"]] = Candidate(rule, frozenset(places), width, group.by_content, reach)
    return [found[each] for each in sorted(found)]


def ignored_rows(estate: NoiseEstate, rules: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return, for each rule alone, the places of the rows that it ignores; decided by the sensor's own code."""
    nothing = {"rules": [], "default": {"action": "alert"}}
    shown = [{**rule, "name": "", "scope_description": "", "note": ""} for rule in rules]
    pair = PolicyPair(nothing, {"rules": shown, "default": {"action": "alert"}})
    workloads = {pk: pair.residual(each.flat).rules for pk, each in estate.workloads.items()}
    listed = {pk: pair.listing(each.flat) for pk, each in estate.files.items()}
    decisive = sum(1 << place for place, rule in enumerate(rules) if not rule["allow_list"])
    files = {
        pk: pair.passing(FILE_PROPERTIES, each.flat) & (listed[pk] | decisive) for pk, each in estate.files.items()
    }
    writers = {pk: pair.passing(PROVENANCE_PROPERTIES, flat) for pk, flat in estate.provenances.items()}
    parents = {
        name: pair.passing(["parent_process"], {"parent_process": name or None})
        for name in {row.parent for row in estate.rows}
    }
    found: list[list[int]] = [[] for _ in rules]
    for place, row in enumerate(estate.rows):
        left = workloads[row.workload] & files[row.file] & writers[row.provenance] & parents[row.parent]
        while left:
            low = left & -left
            found[low.bit_length() - 1].append(place)
            left ^= low
    return found


def _is_inside(estate: NoiseEstate, budget: NoiseBudget, place: int) -> bool:
    return budget.place.holds(estate.workloads[estate.rows[place].workload])


def _group_rule(estate: NoiseEstate, group: Group, expires_at: str) -> Json | None:
    rows = [estate.rows[place] for place in group.places]
    return noise_rule(estate, rows, by_content=group.by_content, expires_at=expires_at)


def _groups(estate: NoiseEstate, refusals: Sequence[Refusal | None], budget: NoiseBudget) -> list[Group]:
    """Return the largest groups of rows that may be absorbed in the budget's place."""
    open_places = [
        place for place, refusal in enumerate(refusals) if refusal is None and _is_inside(estate, budget, place)
    ]
    grouped: defaultdict[tuple[str, Hashable], list[int]] = defaultdict(list)
    for place in open_places:
        for name, key in _keys(estate, estate.rows[place]):
            grouped[name, key].append(place)
    found: dict[tuple[int, ...], Group] = {}
    for (name, key), places in grouped.items():
        for number, part in enumerate(_parts(estate, places)):
            found.setdefault(tuple(part), Group(f"{name} {key!r} {number:03}", tuple(part), by_content=True))
    if budget.changing:
        for group in _changing_groups(estate, open_places):
            found[(*group.places, -1)] = group
    weights = {group: sum(estate.rows[place].days.bit_count() for place in group.places) for group in found.values()}
    return sorted(weights, key=lambda group: (-weights[group], group.key))[:MAX_CANDIDATES]


def _keys(estate: NoiseEstate, row: NoiseEvidence) -> list[tuple[str, Hashable]]:
    """Return what rows of one rule by content have in common, from the narrowest to the widest.

    The session is part of each: a rule that names one holds for no event in which it is unknown.
    """
    workload, content = estate.workloads[row.workload], estate.files[row.file].sha256
    image, session = bare_name(workload.image_name).casefold(), estate.fact(row, "session")
    place = workload.cluster_id, workload.namespace
    return [
        ("content of a family", (content, estate.family(row))),
        ("workload", (workload.scope, image, session)),
        ("family", estate.family(row)),
        ("image", (image, session)),
        ("image in a namespace", (image, place, session)),
        ("content", (content, session)),
        ("namespace", (place, session)),
        ("namespaces of a name", (workload.namespace, session)),
        ("writer", (estate.fact(row, "written_by"), estate.fact(row, "writer_origin"), session)),
        ("cluster", (workload.cluster_id, session)),
        ("estate", session),
    ]


def _parts(estate: NoiseEstate, places: Sequence[int]) -> list[list[int]]:
    """Divide rows into parts of at most a hundred contents, those of the most frequent contents first."""
    weights: Counter[str] = Counter()
    for place in places:
        weights[estate.files[estate.rows[place].file].sha256] += estate.rows[place].days.bit_count()
    order = sorted(weights, key=lambda content: (-weights[content], content))
    number = {content: rank // MAX_CONTENTS for rank, content in enumerate(order)}
    parts: defaultdict[int, list[int]] = defaultdict(list)
    for place in places:
        parts[number[estate.files[estate.rows[place].file].sha256]].append(place)
    return [parts[each] for each in sorted(parts)][:MAX_PARTS]


def _changing_groups(estate: NoiseEstate, places: Sequence[int]) -> list[Group]:
    """Return groups by place, of families whose content is new each time."""
    joined: defaultdict[tuple[str, Hashable], list[int]] = defaultdict(list)
    for place in places:
        row = estate.rows[place]
        workload, key = estate.workloads[row.workload], estate.family(row)
        if key[4] == "image" and key[6] == "workload":
            for family in changing_keys(estate, row):
                joined["family", family].append(place)
            joined["ways", key[1:]].append(place)
            joined["image", key[0]].append(place)
            joined["writer", key[3]].append(place)
            joined["namespace", (workload.cluster_id, workload.namespace)].append(place)
    return [
        Group(f"changing {name} {key!r}", tuple(members), by_content=False)
        for (name, key), members in joined.items()
        if len({estate.files[estate.rows[place].file].sha256 for place in members}) >= CHANGING_CONTENTS
    ]


def _without(estate: NoiseEstate, group: Group, refused: set[int]) -> list[Group]:
    """Return the group without what made its rule ignore refused rows: their contents, or their families."""

    def mark(place: int) -> Hashable:
        row = estate.rows[place]
        return estate.files[row.file].sha256 if group.by_content else estate.family(row)

    unwanted = {mark(place) for place in refused}
    left = tuple(place for place in group.places if mark(place) not in unwanted)
    return [group._replace(places=left)] if left and len(left) < len(group.places) else []


def _width(estate: NoiseEstate, places: Sequence[int], *, by_content: bool) -> tuple[int, int]:
    """Return how many pairs of the rule's workloads and contents were never seen, and how many were."""
    rows = [estate.rows[place] for place in places]
    scopes = {estate.workloads[row.workload].scope for row in rows}
    if not by_content:
        return WIDE * len(scopes), len(scopes)
    contents = {estate.files[row.file].sha256 for row in rows}
    seen = {(estate.workloads[row.workload].scope, estate.files[row.file].sha256) for row in rows}
    return len(scopes) * len(contents) - len(seen), len(seen)
