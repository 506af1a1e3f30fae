"""A backtest counts what deciding every single event, word by word, counts."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift.alerts.domain.fingerprints import digest
from drift.alerts.models import DriftEvent, Provenance
from drift.backtest.queries import comparison
from drift.backtest.queries import stored_events as stored
from sensor.policy import KINDS, OPERATORS
from tests.unit.drift.backtest.conftest import NOW, TODAY
from tests.unit.sensor.policy import naive
from tests.unit.sensor.policy.flat_by_hand import flat
from tests.unit.sensor.policy.strategies import documents, rules

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Json = dict[str, Any]
Store = Callable[..., Any]
LEVELS = {"ignore": 0, "alert": 1, "block": 2}
KNOWN = KINDS[:4]

detected = st.lists(st.sampled_from(KNOWN), min_size=3, unique=True) | st.just(list(KINDS))
events = st.fixed_dictionaries(
    {
        "namespace": st.sampled_from(["a", "a", "a", "ß"]),
        "image": st.sampled_from(["a/b:1", "a/b:1", "a/b:1", "docker.io/library/a"]),
        "path": st.sampled_from(["/a", "/ab", "/a/b", "/b/ab"]),
        "kind": st.sampled_from(KNOWN),
        "parent": st.sampled_from(["", "a", "b"]),
        # Events of one alert may differ in it; None: the sensor does not know it.
        "session": st.sampled_from([None, "workload", "workload", "exec"]),
        "pod": st.builds("{}{}".format, st.sampled_from(["", "ab", "ab", "ab", "aB-"]), st.text("abßK", max_size=3)),
        "count": st.integers(1, 3),
        "days_ago": st.integers(0, 2),
    }
)


@st.composite
def asking_pods(draw: st.DrawFn) -> Json:
    """Documents whose first rules depend on little but the pod's name."""
    document = draw(documents(max_rules=3))
    values = st.fixed_dictionaries(
        {"operator": st.sampled_from(OPERATORS), "value": st.sampled_from(["ab", "AB-", "aba", "b", "ss", "k"])}
    )
    first = [
        {
            **draw(rules(number)),
            "id": f"p{number}",
            "name": f"Pods {number}",
            "cloud_scope": [{"provider": "azure"}],
            "resource_scope": [{"property": "pod_name", "any_of": draw(st.lists(values, min_size=1, max_size=2))}],
            "enabled": True,
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    last = draw(st.lists(entered(), max_size=1))
    return {**document, "rules": [*first, *last, *document["rules"]]}


@st.composite
def entered(draw: st.DrawFn) -> Json:
    """Rules that depend on who started a process."""
    return {
        **draw(rules(9)),
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [],
        "process_scope": [{"property": "session", "any_of": [{"operator": "equals", "value": "exec"}]}],
        "enabled": True,
    }


def store_event(store: Store, event: Json) -> DriftEvent:
    facts = {name: value for name, value in event.items() if name != "session"}
    if session := event["session"]:
        days = {"first_seen_on": TODAY, "last_seen_on": TODAY}
        row, _ = Provenance.objects.get_or_create(digest=digest(session), defaults={"session": session, **days})
        facts["provenance_id"] = row.pk
    stored: DriftEvent = store(**facts)
    return stored


def flat_event(event: Json) -> Json:
    """Return the event as the evaluator gets it; the fixture `store` has the properties that are the same for all."""
    parent = {"name": event["parent"]} if event["parent"] else None
    process: Json = {
        "path": event["path"],
        "name": event["path"].rpartition("/")[2],
        "sha256": "a" * 64,
        "parent": parent,
    }
    process["provenance"] = {"session": event["session"]}
    container = {"namespace": event["namespace"], "name": "app", "image_name": event["image"]}
    container["pod_name"] = event["pod"] or None
    return flat({"kind": event["kind"], "process": process, "container": container}, "azure", "sub-1", "blue")


def decision(document: Json, event: Json) -> tuple[str, str]:
    if event["kind"] not in document["detect"]:
        return "detect", "unseen"
    decision = naive.decide(document, flat_event(event))
    return decision["rule"], decision["action"]


def expected(before: Json, after: Json, seen: list[tuple[Json, DriftEvent]]) -> Json:
    pairs: Counter[Any] = Counter()
    execs: Counter[Any] = Counter()
    rules: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    alerts: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for event, row in seen:
        made = decision(before, event), decision(after, event)
        pairs[made] += 1
        execs[made] += event["count"]
        for side, (rule, action) in enumerate(made):
            rules[rule][side] += 1
            rules[rule][2 + side] += event["count"]
            level = LEVELS.get(action, 0)
            alerts[row.fingerprint][side] = max(alerts[row.fingerprint][side], level)
    return {
        "transitions": {made: (pairs[made], execs[made]) for made in pairs if made[0] != made[1]},
        "rules": dict(rules),
        "alerts": {
            "before": sum(one > 0 for one, _ in alerts.values()),
            "after": sum(other > 0 for _, other in alerts.values()),
            "vanish": sum(one > 0 and not other for one, other in alerts.values()),
            "appear": sum(other > 0 and not one for one, other in alerts.values()),
        },
        "blocking": {
            "before": sum(one == 2 for one, _ in alerts.values()),
            "after": sum(other == 2 for _, other in alerts.values()),
        },
        "noisiest": sum(
            event["count"] for event, _ in seen if LEVELS.get(decision(after, event)[1], 0)
        ),
    }  # fmt: skip


def found(before: Json, after: Json) -> Json:
    result = comparison.compare(
        before, after, TODAY - dt.timedelta(days=2), NOW + dt.timedelta(minutes=1), lambda _: True
    )

    def key(each: Any) -> tuple[Any, Any]:
        return (each["before"]["rule"], each["before"]["action"]), (each["after"]["rule"], each["after"]["action"])

    numbers = ("events_before", "events_after", "execs_before", "execs_after")
    return {
        "transitions": {key(each): (each["events"], each["execs"]) for each in result["transitions"]},
        "rules": {each["rule"]: [each[name] for name in numbers] for each in result["rules"]},  # type: ignore[literal-required]
        "alerts": result["alerts"],
        "blocking": result["blocking"],
        "noisiest": sum(each["execs_after"] for each in result["noisiest"]),
    }


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(asking_pods(), asking_pods(), detected, detected, st.lists(events, min_size=1, max_size=14), st.data())
def test_a_backtest_counts_what_deciding_each_event_counts(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    before: Json,
    after: Json,
    detect: list[str],
    detect_after: list[str],
    seen: list[Json],
    data: st.DataObject,
) -> None:
    documents_ = {**before, "detect": detect}, {**after, "detect": detect_after}
    # Each strategy, for large estates and small ones.
    monkeypatch.setattr(comparison, "MAX_KEYS", data.draw(st.sampled_from([0, 100_000, 100_000])))
    monkeypatch.setattr(comparison, "MAX_SUMMANDS", data.draw(st.sampled_from([0, 100_000, 100_000])))
    monkeypatch.setattr(stored, "CHUNK_BYTES", data.draw(st.sampled_from([0, 1 << 30])))
    monkeypatch.setattr(stored, "MAX_PATTERNS", data.draw(st.sampled_from([0, 50])))
    monkeypatch.setattr(stored, "BATCH", data.draw(st.sampled_from([2, 5_000])))
    with transaction.atomic():
        rows = [(event, store_event(store, event)) for event in seen]
        assert found(*documents_) == expected(*documents_, rows)
        transaction.set_rollback(True)
