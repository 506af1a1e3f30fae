"""The result of a noise budget, as it is stored, returned by the API and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from drift.backtest.domain.noise_evidence import (
    REFUSAL_LABELS,
    NoiseBudget,
    NoiseEstate,
    NoiseEvidence,
    Refusal,
    day_numbers,
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


def noise_result(
    estate: NoiseEstate, budget: NoiseBudget, found: NoisePlan, verdicts: Sequence[Mapping[str, int]]
) -> NoiseResult:
    """Return the result of a plan; `verdicts` are those of each rule's alerts."""
    inside = [place for place, row in enumerate(estate.rows) if budget.place.holds(estate.workloads[row.workload])]
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
        "changes": [_change(estate, rule, counts) for rule, counts in zip(found.rules, verdicts, strict=True)],
        "refused": _refused(estate, found, inside),
        "events_without_writer": sum(not estate.fact(estate.rows[place], "writer_origin") for place in inside),
    }


def _change(estate: NoiseEstate, planned: PlannedRule, verdicts: Mapping[str, int]) -> NoiseChange:
    rows = [estate.rows[place] for place in planned.places]
    contents = Counter[str]()
    workloads = Counter[str]()
    for row in rows:
        contents[estate.files[row.file].sha256] += row.days.bit_count()
        workloads[_where(estate, row)] += row.days.bit_count()
    scopes = {estate.workloads[row.workload].scope for row in rows}
    pairs = {(estate.workloads[row.workload].scope, estate.files[row.file].sha256) for row in rows}
    return {
        "rule": planned.rule,
        "sentence": planned.rule["scope_description"],
        "by_content": planned.by_content,
        "alerts": len(planned.alerts),
        "fingerprints": len({fingerprint for fingerprint, _ in planned.alerts}),
        "execs": sum(row.execs for row in rows),
        "examples": [_example(estate, row) for row in examples(estate, planned.places, EXAMPLES)],
        "hides": {
            "contents": len(contents),
            "workloads": len(scopes),
            "pairs": len(pairs),
            "unseen_pairs": len(scopes) * len(contents) - len(pairs),
            "content_list": _most_frequent(contents),
            "workload_list": _most_frequent(workloads),
            "verdicts": dict(verdicts),
        },
    }


def _refused(estate: NoiseEstate, found: NoisePlan, inside: Sequence[int]) -> list[RefusedJson]:
    """Return the refusals with their alerts, each alert of a day once: for the first reason of any of its rows."""
    order = list(Refusal)
    first: dict[tuple[object, int], int] = {}
    places: dict[int, list[int]] = {}
    for place in inside:
        refusal = found.refusals[place]
        if refusal is not None:
            rank = order.index(refusal)
            places.setdefault(rank, []).append(place)
            row = estate.rows[place]
            for day in day_numbers(row.days):
                first[row.fingerprint, day] = min(first.get((row.fingerprint, day), rank), rank)
    counts = Counter(first.values())
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


def _where(estate: NoiseEstate, row: NoiseEvidence) -> str:
    workload = estate.workloads[row.workload]
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
