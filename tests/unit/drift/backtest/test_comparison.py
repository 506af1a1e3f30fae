"""A document against stored events: what is counted, what alerts, and that it equals deciding each event."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError, transaction
from psycopg import Connection, OperationalError

from drift.backtest.domain.result import Result
from drift.backtest.domain.transitions import TransitionTable
from drift.backtest.queries import comparison
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.comparison import Cancelled
from sensor.policy import compile_policy, default_document, normalise
from tests.unit.drift.backtest.conftest import NOW, TODAY
from tests.unit.drift.policy.samples import rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Store = Callable[..., Any]


def scope(name: str, value: str, operator: str = "equals") -> dict[str, Any]:
    return {"property": name, "any_of": [{"operator": operator, "value": value}]}


def document(*rules: dict[str, Any], default: str = "ignore", **changes: Any) -> dict[str, Any]:
    return normalise({**default_document(), "rules": list(rules), "default": {"action": default}, **changes})


SHOP = rule("Shop", action="alert", resource_scope=[scope("namespace", "shop")])
NOTHING = document()


def compare(before: dict[str, Any], after: dict[str, Any], days: int = 3) -> Result:
    first_day = TODAY - dt.timedelta(days=days - 1)
    return comparison.compare(before, after, first_day, NOW + dt.timedelta(minutes=1), lambda _: True)


def test_an_alerting_rule_makes_an_alert_appear_with_its_identifying_properties(store: Store) -> None:
    store("shop", count=3)
    store("shop", days_ago=1)
    store("other")
    found = compare(NOTHING, document(SHOP))
    assert (found["events"], found["execs"], found["workloads"], found["changed_events"]) == (3, 5, 2, 2)
    assert found["alerts"] == {"before": 0, "after": 1, "vanish": 0, "appear": 1}
    (example,) = found["appear"]
    assert (example["path"], example["namespace"], example["cluster"]) == ("/tmp/xmrig", "shop", "blue")
    assert (example["execs_before"], example["execs_after"]) == (0, 4)
    assert example["after"] == {"rule": "shop", "name": "Shop", "action": "alert"}
    assert (found["vanish"], found["noisiest"]) == ([], [example])


def test_removing_a_rule_makes_its_alerts_vanish_and_names_the_rule_that_decides_now(store: Store) -> None:
    store("shop")
    found = compare(document(SHOP), NOTHING)
    assert found["alerts"] == {"before": 1, "after": 0, "vanish": 1, "appear": 0}
    (transition,) = found["transitions"]
    assert (transition["before"]["name"], transition["after"]["rule"], transition["vanish"]) == ("Shop", "default", 1)
    assert found["vanish"][0]["execs_before"] == 1
    assert [(each["name"], each["events_before"], each["events_after"]) for each in found["rules"]] == [
        ("Shop", 1, 0),
        ("Default binary drift rule", 0, 1),
    ]


def test_events_that_both_decide_the_same_way_change_nothing(store: Store) -> None:
    store("shop")
    found = compare(document(SHOP), document(SHOP))
    assert (found["changed_events"], found["transitions"], found["vanish"], found["appear"]) == (0, [], [], [])
    assert found["alerts"] == {"before": 1, "after": 1, "vanish": 0, "appear": 0}


def test_blocking_is_counted_separately_from_alerts(store: Store) -> None:
    store("shop")
    found = compare(document(SHOP), document({**SHOP, "action": "block"}))
    assert (found["blocking"], found["alerts"]["after"]) == ({"before": 0, "after": 1}, 1)
    assert found["changed_events"] == 1


def test_an_alert_remains_while_any_of_its_events_alerts(store: Store) -> None:
    store("shop", pod="cart-1", count=5)
    store("shop", pod="batch-1")
    carts = rule("Carts", resource_scope=[scope("pod_name", "cart-", "starts_with")])
    found = compare(document(SHOP), document(carts, SHOP))
    assert found["alerts"] == {"before": 1, "after": 1, "vanish": 0, "appear": 0}
    assert (found["noisiest"][0]["execs_before"], found["noisiest"][0]["execs_after"]) == (6, 1)


def test_pod_names_parents_files_and_kinds_are_distinguished_if_a_rule_uses_them(store: Store) -> None:
    documents = [
        document(rule("Pods", action="alert", resource_scope=[scope("pod_name", "cart-1")])),
        document(rule("Parents", action="alert", process_scope=[scope("parent_process", "dpkg")])),
        document(rule("Files", action="alert", process_scope=[scope("process_path", "/opt/", "starts_with")])),
        document(rule("Kinds", action="alert", process_scope=[scope("drift_kind", "script")])),
        document(rule("List", action="alert", allow_list=["xmrig"], unlisted="next_rule")),
        document(rule("List", allow_list=["xmrig"])),
    ]
    facts = []
    for namespace in ("shop", "kube-system"):
        for path in ("/tmp/xmrig", "/opt/tool"):
            for pod, parent, kind in (("cart-1", "bash", "new_file"), ("cart-2", "dpkg", "script"), ("", "", "volume")):
                store(namespace, path, pod=pod, parent=parent, kind=kind)
                facts.append((namespace, path, pod or None, parent or None, kind))
    for each in documents:
        policy = compile_policy(each)
        expected = Counter(
            policy.decide(
                {
                    "provider": "azure",
                    "account": "sub-1",
                    "cluster_name": "blue",
                    "namespace": namespace,
                    "container_name": "app",
                    "image_name": "ghcr.io/team/app:1.2",
                    "pod_name": pod,
                    "parent_process": parent,
                    "process_path": path,
                    "process_name": path.rpartition("/")[2],
                    "process_sha256": "a" * 64,
                    "drift_kind": kind,
                }
            ).rule
            for namespace, path, pod, parent, kind in facts
        )
        found = compare(NOTHING, each)
        assert {line["rule"]: line["events_after"] for line in found["rules"] if line["events_after"]} == expected


@pytest.mark.parametrize(
    ("operator", "value", "pods"),
    [
        ("starts_with", "CART.", {"cart.1": True, "Cart.X": True, "cart-1": False, "xcart.1": False}),
        ("ends_with", "-0", {"db-0": True, "db-01": False}),
        ("contains", "a(b", {"xa(by": True, "ab": False}),
        ("equals", "straße", {"STRASSE": True, "straße": True, "strasse1": False}),
    ],
)
def test_pod_names_are_compared_as_the_policy_does(
    store: Store, operator: str, value: str, pods: dict[str, bool]
) -> None:
    for pod in pods:
        store("shop", f"/tmp/{pod}", pod=pod)
    found = compare(
        NOTHING, document(rule("Pods", action="alert", resource_scope=[scope("pod_name", value, operator)]))
    )
    assert {each["path"] for each in found["appear"]} == {f"/tmp/{pod}" for pod, holds in pods.items() if holds}


def test_a_rule_for_all_pods_decides_what_a_narrower_one_above_leaves(store: Store) -> None:
    store("shop", pod="cart-1")
    store("shop", pod="cart-2", count=3)
    narrow = rule("Narrow", resource_scope=[scope("pod_name", "-1", "ends_with")])
    wide = rule("Wide", action="alert", resource_scope=[scope("pod_name", "cart-", "starts_with")])
    found = compare(NOTHING, document(narrow, wide))
    assert [(each["rule"], each["execs_after"]) for each in found["rules"]] == [
        ("narrow", 1),
        ("wide", 3),
        ("default", 0),
    ]


def test_kinds_that_sensors_would_no_longer_report_are_not_counted(store: Store) -> None:
    store("shop", kind="volume")
    store("shop", kind="new_file", path="/tmp/other")
    found = compare(document(SHOP), document(SHOP, detect=["new_file"]))
    assert found["alerts"] == {"before": 2, "after": 1, "vanish": 1, "appear": 0}
    assert found["vanish"][0]["after"] == {"rule": "detect", "name": "Not detected", "action": "unseen"}


def test_events_that_the_sensor_decided_by_itself_are_left_out(store: Store) -> None:
    store("shop", reason="identity_incomplete", rule="", action="alert")
    assert compare(NOTHING, document(SHOP))["events"] == 0


def test_days_before_the_period_and_events_after_its_end_are_left_out(store: Store) -> None:
    store("shop", days_ago=2)
    store("shop", days_ago=1)
    store("shop", observed_at=NOW + dt.timedelta(minutes=5))
    assert compare(NOTHING, document(SHOP), days=2)["events"] == 1


def test_more_groups_than_a_batch_give_the_same_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "BATCH", 2)
    monkeypatch.setattr(stored, "WORKLOADS", 2)
    for number in range(9):
        store("shop", f"/tmp/tool-{number % 5}", pod=f"p{number}", days_ago=number % 2)
    pods = rule("Pods", action="alert", resource_scope=[scope("pod_name", "p", "starts_with")], allow_list=["tool-1"])
    found = compare(NOTHING, document(pods))
    assert (found["events"], found["changed_events"], found["alerts"]["appear"]) == (9, 9, 4)


def test_a_run_reports_progress_and_stops_on_request(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CHUNK_BYTES", 0)
    for days_ago in range(3):
        store("shop", days_ago=days_ago)
    reported: list[int] = []

    def report(done: int) -> bool:
        reported.append(done)
        return done < 80

    with pytest.raises(Cancelled):
        comparison.compare(NOTHING, document(SHOP), TODAY - dt.timedelta(days=2), NOW, report)
    assert reported == sorted(reported)
    assert reported[0] == 0
    assert reported[-2] < 80 <= reported[-1]
    assert len(set(reported)) >= 5
    assert compare(NOTHING, document(SHOP))["events"] == 3


PODS = rule("Pods", action="alert", resource_scope=[scope("pod_name", "p", "starts_with")])


def test_progress_never_runs_backwards(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CHUNK_BYTES", 0)
    for days_ago in range(3):
        store(f"shop-{days_ago}", pod=f"{'pq'[days_ago % 2]}{days_ago}", days_ago=days_ago)
    reported: list[int] = []

    def report(done: int) -> bool:
        reported.append(done)
        return True

    comparison.compare(NOTHING, document(PODS), TODAY - dt.timedelta(days=2), NOW, report)
    assert reported == sorted(reported)
    assert reported


def test_more_workloads_than_days_and_more_days_than_workloads_are_sorted_with_their_pods(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "WORKLOADS", 2)
    monkeypatch.setattr(stored, "CHUNK_BYTES", 0)
    for number in range(7):
        store(f"shop-{number}", pod=f"{'pq'[number % 2]}{number}", days_ago=number % 2)
    assert compare(NOTHING, document(PODS), days=2)["alerts"]["appear"] == 4
    assert compare(NOTHING, document(PODS), days=9)["alerts"]["appear"] == 4


def test_a_query_beside_the_sorting_that_fails_ends_the_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store("shop")
    monkeypatch.setattr(stored, "_POD_NAMES", "SELECT 1 / 0 WHERE %s < %s")
    with pytest.raises(DataError), transaction.atomic():
        compare(NOTHING, document(PODS))
    monkeypatch.undo()
    assert compare(NOTHING, document(PODS))["events"] == 1


def test_a_run_that_stops_waits_for_no_statement_and_leaves_its_connection_free(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store("shop", pod="p1")

    def stop(*_: object) -> int:
        raise Cancelled

    monkeypatch.setattr(TransitionTable, "candidates", stop)
    monkeypatch.setattr(stored, "_POD_NAMES", "SELECT pg_sleep(60) WHERE %s < %s")
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        compare(NOTHING, document(PODS))
    assert time.monotonic() - begun < 50
    monkeypatch.undo()
    assert compare(NOTHING, document(PODS))["alerts"]["appear"] == 1


@pytest.mark.parametrize("error", [None, OperationalError("no cancel")], ids=["not sent yet", "a cancel that fails"])
def test_a_cancel_that_does_nothing_is_repeated_and_hides_no_error(
    error: OperationalError | None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store("shop", pod="p1")
    cancel, asked = Connection.cancel_safe, list[None]()

    def stop(*_: object) -> int:
        raise Cancelled

    def cancel_safe(self: Connection[Any]) -> None:
        asked.append(None)
        if len(asked) > 1:
            cancel(self)
        elif error:
            raise error

    monkeypatch.setattr(Connection, "cancel_safe", cancel_safe)
    monkeypatch.setattr(TransitionTable, "candidates", stop)
    monkeypatch.setattr(stored, "_POD_NAMES", "SELECT pg_sleep(60) WHERE %s < %s")
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        compare(NOTHING, document(PODS))
    assert time.monotonic() - begun < 50
    assert len(asked) >= 2


def test_counts_beyond_the_usual_integers_add_up_exactly(store: Store) -> None:
    counts = [1, 2**31 - 1, 2**31 - 1, 2**31, 2**40, 2**53 + 1]
    for count in counts:
        store("shop", count=count)
    assert compare(NOTHING, document(SHOP))["execs"] == sum(counts)


def test_the_number_of_queries_does_not_grow_with_events(store: Store, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        store(f"shop-{number}", f"/tmp/tool-{number}", pod=f"p{number}")
    files = rule("Files", action="alert", process_scope=[scope("process_path", "/tmp/", "starts_with")])
    with django_assert_max_num_queries(43):
        assert compare(NOTHING, document(files), days=1)["alerts"]["appear"] == 30
