"""Each rule's recent hits: counted with the batches, exact in any order and whenever they are folded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import ScopeEntry
from drift.alerts.actions import count_rule_hits
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import ClusterRuleHits, RuleHits
from drift.alerts.queries.rule_hits import DAYS, first_day, hits_by_rule, ignored_by_default
from tests.unit.drift.alerts.conftest import RULE, VERSION, Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]

IGNORE = {"action": "ignore", "rule": "default", "reason": "default", "policy_number": VERSION}
HITS = "/alerts/rule-hits/"


def counts(user: Any) -> dict[str, int]:
    return {rule: each.execs for rule, each in hits_by_rule(user, [RULE, "default"]).items()}


def test_execs_are_counted_by_the_rule_that_decided_them(estate: Estate, reader: Any) -> None:
    last = now() + dt.timedelta(minutes=1)
    ingest(estate.sensors[0], raw(event(), event(at=last - dt.timedelta(hours=1)), event(at=last)))
    ingest(estate.sensors[1], raw(event(mode="summary", count=40, decision=IGNORE)))

    assert counts(reader) == {RULE: 3, "default": 40}
    assert hits_by_rule(reader, [RULE, "default"])[RULE].last_at == last
    assert ignored_by_default(reader) == 40


def test_a_replay_counts_nothing_twice(estate: Estate, reader: Any) -> None:
    batch = raw(event(), event())
    ingest(estate.sensors[0], batch)
    ingest(estate.sensors[0], [*batch, *raw(event())])

    assert counts(reader) == {RULE: 3}


def test_folding_changes_no_sum(estate: Estate, reader: Any) -> None:
    for _ in range(3):
        ingest(estate.sensors[0], raw(event(), event(decision=IGNORE)))
    before = hits_by_rule(reader, [RULE, "default"])

    count_rule_hits.fold_hits()
    count_rule_hits.fold_hits()

    assert RuleHits.objects.count() == 2
    assert hits_by_rule(reader, [RULE, "default"]) == before
    ingest(estate.sensors[0], raw(event()))
    assert counts(reader) == {RULE: 4, "default": 3}


def test_after_a_week_only_the_time_of_a_rule_s_last_hit_remains(estate: Estate, reader: Any) -> None:
    for days in (DAYS - 1, DAYS + 5, DAYS + 4):
        ingest(estate.sensors[0], raw(event(at=now() - dt.timedelta(days=days))))
    ingest(estate.sensors[0], raw(event(at=now() - dt.timedelta(days=DAYS + 3), decision=IGNORE)))
    ingest(estate.sensors[0], raw(event(at=now() - dt.timedelta(days=DAYS + 2), decision=IGNORE)))

    assert count_rule_hits.delete_old_hits() == 6  # of RuleHits and of ClusterRuleHits

    assert counts(reader) == {RULE: 1, "default": 0}
    assert hits_by_rule(reader, [RULE, "default"])["default"].last_at.date() == first_day() - dt.timedelta(days=3)
    assert count_rule_hits.delete_old_hits(now() + dt.timedelta(days=count_rule_hits.DAYS_REMEMBERED - DAYS - 2)) == 2
    assert counts(reader) == {RULE: 1}


def decided(rule: str, number: int | None, count: int = 1) -> dict[str, Any]:
    """Return a summary event that a rule of a version decided, according to the sensor."""
    decision = {"action": "ignore", "rule": rule, "reason": "scope", "policy_number": number}
    return event(mode="summary", count=count, decision=decision)


@pytest.mark.parametrize(
    "made_up",
    [("no such rule", VERSION), (RULE, VERSION + 1), (RULE, 1), ("default", VERSION + 1), (RULE, 2**31 - 1)],
)
def test_a_rule_that_the_named_version_does_not_have_counts_nothing(
    estate: Estate, reader: Any, made_up: tuple[str, int]
) -> None:
    ingest(estate.sensors[0], raw(decided(*made_up, count=1_000), event()))

    assert counts(reader) == {RULE: 1}
    assert RuleHits.objects.count() == 1


def test_rules_of_older_versions_count_with_the_latest(estate: Estate, reader: Any) -> None:
    ingest(estate.sensors[0], raw(decided("default", 1, 2), decided("default", VERSION, 3)))

    assert counts(reader) == {"default": 5}
    assert RuleHits.objects.count() == 1


def test_a_batch_that_names_endless_versions_makes_the_portal_read_a_few(
    estate: Estate, reader: Any, django_assert_max_num_queries: Any
) -> None:
    batch = raw(*(decided("default", number) for number in range(1, VERSION)), event())
    ingest(estate.sensors[0], raw(event()))

    with django_assert_max_num_queries(count_rule_hits.MAX_VERSIONS + 20):
        ingest(estate.sensors[0], batch)

    assert counts(reader) == {RULE: 2}


def test_a_batch_that_names_endless_rules_of_an_unknown_version_makes_the_portal_look_it_up_once(
    estate: Estate, reader: Any, django_assert_max_num_queries: Any
) -> None:
    batch = raw(*(decided(f"rule {number}", VERSION + 1) for number in range(60)), event())
    ingest(estate.sensors[0], raw(event()))

    with django_assert_max_num_queries(30):
        ingest(estate.sensors[0], batch)

    assert counts(reader) == {RULE: 2}


def test_an_alert_that_no_rule_decided_is_not_a_hit_of_any_rule(estate: Estate, reader: Any) -> None:
    stranger = {"action": "alert", "rule": None, "reason": "identity_incomplete", "policy_number": VERSION}
    ingest(estate.sensors[0], raw(event(identity="incomplete", decision=stranger)))

    assert counts(reader) == {}


def test_the_policy_page_gets_its_hits_in_two_queries(
    estate: Estate, reader: Any, client_of: Callable[[Any], Client], django_assert_max_num_queries: Any
) -> None:
    ingest(estate.sensors[0], raw(event(), event(mode="summary", count=7, decision=IGNORE)))
    client = client_of(reader)

    with django_assert_max_num_queries(8):  # those of session, user and policy among them
        answer = client.get(HITS).json()

    assert (answer["days"], answer["ignored_by_default"]) == (DAYS, 7)
    assert {rule: each["execs"] for rule, each in answer["rules"].items()} == {RULE: 1, "default": 7}
    assert answer["rules"][RULE]["last_at"].endswith("+00:00")


def scoped(user: Any, **entry: Any) -> Any:
    """Return the user as a new request has them, seeing only this part of the estate."""
    type(user).objects.filter(pk=user.pk).update(is_scoped=True)
    ScopeEntry.objects.filter(user=user).delete()
    ScopeEntry.objects.create(user=user, **entry)
    return type(user).objects.get(pk=user.pk)


def test_a_user_with_a_scope_reads_the_hits_of_their_clusters_alone(estate: Estate, reader: Any) -> None:
    blue, _, green = estate.sensors
    last = now() + dt.timedelta(minutes=1)
    ingest(blue, raw(event(at=last), decided("default", VERSION, 7)))
    ingest(green, raw(event(), event(at=last + dt.timedelta(minutes=1)), decided("default", VERSION, 50)))
    count_rule_hits.fold_hits()

    in_blue = scoped(reader, cluster=blue.cluster)
    assert counts(in_blue) == {RULE: 1, "default": 7}
    assert hits_by_rule(in_blue, [RULE])[RULE].last_at == last
    assert ignored_by_default(in_blue) == 7
    in_both = scoped(reader, environment=blue.cluster.environment)
    assert counts(in_both) == {RULE: 3, "default": 57}


def test_folding_and_forgetting_keep_the_clusters_apart(estate: Estate, reader: Any) -> None:
    for sensor in (estate.sensors[0], estate.sensors[2]):
        for days in (0, 0, DAYS + 5, DAYS + 4):
            ingest(sensor, raw(event(at=now() - dt.timedelta(days=days))))
    count_rule_hits.fold_hits()
    assert ClusterRuleHits.objects.count() == 6

    count_rule_hits.delete_old_hits()

    assert ClusterRuleHits.objects.count() == 2
    assert counts(scoped(reader, cluster=estate.sensors[2].cluster)) == {RULE: 2}


def test_hits_are_unknown_to_who_sees_single_namespaces(
    estate: Estate, reader: Any, client_of: Callable[[Any], Client]
) -> None:
    ingest(estate.sensors[0], raw(event()))
    viewer = scoped(reader, cluster=estate.sensors[0].cluster, namespace="shop")

    assert counts(viewer) == {}
    assert client_of(viewer).get(HITS).json() == {"days": DAYS, "rules": None, "ignored_by_default": None}
