"""The result of a noise budget, as it is stored, returned by the API and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, TypedDict

from drift.backtest.domain.noise_evidence import (
    REFUSAL_LABELS,
    NoiseBudget,
    NoiseEstate,
    NoiseEvidence,
    Refusal,
)
from drift.backtest.domain.noise_plan import NoisePlan, PlannedRule, examples

EXAMPLES: Final = 5
REFUSED_EXAMPLES: Final = 3
LISTED: Final = 50
"""Contents and workloads that are listed of one change."""


class NoiseExample(TypedDict):
    """One alerting file in one workload, and on how many days it ran."""

    path: str
    sha256: str
    kind: str
    cluster: str
    namespace: str
    owner: str
    container: str
    image: str
    parent: str
    written_by: str
    writer_origin: str
    session: str
    days: int
    execs: int


class HiddenJson(TypedDict):
    """What a change hides: how many contents and workloads, the first of each, and the alerts' resolutions.

    `pairs` are pairs of a content and a workload that ran, `unseen_pairs` those that the rule allows besides.
    """

    contents: int
    workloads: int
    pairs: int
    unseen_pairs: int
    content_list: list[str]
    workload_list: list[str]
    verdicts: dict[str, int]


class NoiseChange(TypedDict):
    """One rule, with the alerts of a day that it removes beyond those of the rules before it."""

    rule: dict[str, Any]
    sentence: str
    by_content: bool
    alerts: int
    fingerprints: int
    execs: int
    examples: list[NoiseExample]
    hides: HiddenJson


class RefusedJson(TypedDict):
    """Alerts of a day that are not absorbed for one reason, the most telling where there are several."""

    reason: str
    label: str
    alerts: int
    examples: list[NoiseExample]


class NoiseResult(TypedDict):
    """What a budget came to. `before` and `after` are the place's alerts of each day, from `first_day` on.

    `at_least`: no fewer of the rules `considered` would do. `refused_days`: of each day, the alerts that it refuses.
    """

    first_day: str
    until: str
    days: int
    before: list[int]
    after: list[int]
    refused_days: list[int]
    reached: bool
    kept_days: int
    at_least: int
    considered: int
    changes: list[NoiseChange]
    refused: list[RefusedJson]
    events_without_writer: int


def noise_result(estate: NoiseEstate, budget: NoiseBudget, found: NoisePlan) -> NoiseResult:
    """Return the result of a plan."""
    held = {pk for pk, workload in estate.workloads.items() if budget.place.holds(workload)}
    inside = [place for place, row in enumerate(estate.rows) if row.workload in held]
    known = {pk for pk, facts in estate.provenances.items() if facts.get("writer_origin")}
    return {
        "first_day": estate.first_day.isoformat(),
        "until": estate.until.isoformat(),
        "days": estate.days,
        "before": found.before,
        "after": found.after,
        "refused_days": found.refused,
        "reached": found.reached,
        "kept_days": sum(count <= budget.alerts for count in found.after),
        "at_least": found.at_least,
        "considered": found.considered,
        "changes": [_change(estate, rule) for rule in found.rules],
        "refused": _refused(estate, found, inside),
        "events_without_writer": sum(estate.rows[place].provenance not in known for place in inside),
    }


def _change(estate: NoiseEstate, planned: PlannedRule) -> NoiseChange:
    contents, workloads, execs = Counter[str](), Counter[int](), 0
    pairs = set()
    for place in planned.places:
        row = estate.rows[place]
        content, days = estate.files[row.file].sha256, row.days.bit_count()
        contents[content] += days
        workloads[row.workload] += days
        execs += row.execs
        pairs.add((row.workload, content))
    numbers = {pk: estate.workloads[pk].scope.int for pk in workloads}
    seen = {(numbers[workload], content) for workload, content in pairs}
    scopes = set(numbers.values())
    where = Counter[str]()
    for workload, count in workloads.items():
        where[_where(estate, workload)] += count
    return {
        "rule": planned.rule,
        "sentence": planned.rule["scope_description"],
        "by_content": planned.by_content,
        "alerts": planned.alert_count,
        "fingerprints": len(planned.alerts),
        "execs": execs,
        "examples": [_example(estate, row) for row in examples(estate, planned.places, EXAMPLES)],
        "hides": {
            "contents": len(contents),
            "workloads": len(scopes),
            "pairs": len(seen),
            "unseen_pairs": len(scopes) * len(contents) - len(seen),
            "content_list": _most_frequent(contents),
            "workload_list": _most_frequent(where),
            "verdicts": _verdicts(estate, planned),
        },
    }


def _verdicts(estate: NoiseEstate, planned: PlannedRule) -> dict[str, int]:
    """Return how many stored alerts of the rule's have each resolution; those without one as `open`."""
    counts = Counter(verdict or "open" for fingerprint, verdict in estate.verdicts if fingerprint in planned.alerts)
    return dict(sorted(counts.items()))


def _refused(estate: NoiseEstate, found: NoisePlan, inside: Sequence[int]) -> list[RefusedJson]:
    """Return the refusals with their alerts, each alert of a day once: for the first reason of any of its rows."""
    ranks = {refusal: rank for rank, refusal in enumerate(Refusal)}
    days: dict[int, dict[int, int]] = {}
    places: dict[int, list[int]] = {}
    for place in inside:
        refusal = found.refusals[place]
        if refusal is not None:
            rank = ranks[refusal]
            places.setdefault(rank, []).append(place)
            row = estate.rows[place]
            own = days.setdefault(row.fingerprint.int, {})
            own[rank] = own.get(rank, 0) | row.days
    counts = dict.fromkeys(places, 0)
    for own in days.values():
        counted = 0
        for rank in sorted(own):
            counts[rank] += (own[rank] & ~counted).bit_count()
            counted |= own[rank]
    order = list(Refusal)
    return [
        {
            "reason": order[rank].value,
            "label": REFUSAL_LABELS[order[rank]],
            "alerts": counts[rank],
            "examples": [_example(estate, row) for row in examples(estate, places[rank], REFUSED_EXAMPLES)],
        }
        for rank in sorted(places, key=lambda each: (-counts[each], each))
    ]


def _most_frequent(counts: Counter[str]) -> list[str]:
    return [value for value, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:LISTED]]


def _where(estate: NoiseEstate, pk: int) -> str:
    workload = estate.workloads[pk]
    parts = (workload.flat["cluster_name"], workload.namespace, workload.owner_name, workload.container_name)
    return " / ".join(part for part in parts if part)


def _example(estate: NoiseEstate, row: NoiseEvidence) -> NoiseExample:
    workload, file = estate.workloads[row.workload], estate.files[row.file]
    return {
        "path": file.path,
        "sha256": file.sha256,
        "kind": file.kind,
        "cluster": workload.flat["cluster_name"] or "",
        "namespace": workload.namespace,
        "owner": workload.owner_name,
        "container": workload.container_name,
        "image": workload.image_name,
        "parent": row.parent,
        "written_by": estate.fact(row, "written_by"),
        "writer_origin": estate.fact(row, "writer_origin"),
        "session": estate.fact(row, "session"),
        "days": row.days.bit_count(),
        "execs": row.execs,
    }
