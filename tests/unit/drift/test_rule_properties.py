"""Every property and kind of drift, walked through everything that reads one: each preview agrees with the sensor.

What is walked is the table alone (`sensor.policy.properties`, `sensor.policy.drift_kinds`), so a property that is added
there is tried here without another line. Values are put into the event's JSON, not read from the code under test.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from accounts.models import User
from drift.alerts.actions.ingest import ingest
from drift.alerts.domain import suppression_match
from drift.alerts.forms.suppression import SuppressionForm
from drift.alerts.models import Alert, Binary, DriftEvent
from drift.alerts.queries.alert_json import alert_json
from drift.alerts.queries.filter_pills import OPTIONS
from drift.alerts.queries.ignored_alerts import newly_ignored_alerts
from drift.alerts.queries.rule_effect import rule_effect
from drift.alerts.queries.value_suggestions import suggestions
from drift.backtest.queries import comparison
from drift.policy.forms.rule import read_rule, rule_errors
from drift.policy.models import PolicyVersion
from sensor import wire
from sensor.blocking.block_plan import FILELESS, HELD_KINDS, KERNEL_KINDS, ClusterLocation, block_plan
from sensor.policy import OPERATORS, check, compile_policy, describe_rule, digest, normalise
from sensor.policy.drift_kinds import DRIFT_KINDS, KINDS, DriftKind, KindDefinition
from sensor.policy.flat_event import BINARY_ROWS, EVENT_ROWS, PROVENANCE_ROWS, WORKLOAD_ROWS
from sensor.policy.properties import TABLE, Property
from tests.unit.drift.alerts.conftest import VERSION, Estate, _fresh_memories, event, make_estate, now, raw  # noqa: F401
from tests.unit.sensor.policy import naive

Json = dict[str, Any]
ClientOf = Callable[[User], Client]
PROPERTIES = [each for each in TABLE if each.scope != "cloud_scope"]
RULE = "walked"
NUMBER = VERSION + 1
"""The version that alerts on everything."""
EVERYTHING: Json = {"schema": 1, "rules": [], "default": {"action": "alert"}}
CLUSTERS = {"blue": 0, "green": 2}
"""Index of a sensor in each cluster of the estate."""


@pytest.fixture
def estate(db: None) -> Estate:
    made = make_estate()
    PolicyVersion.objects.create(number=NUMBER, document=normalise(EVERYTHING), digest=digest(EVERYTHING))
    return made


def named(each: Property | KindDefinition) -> str:
    return each.name


def values(each: Property) -> tuple[Any, Any]:
    """What the event holds where the rule matches, and where it does not."""
    special: dict[str, tuple[Any, Any]] = {
        "cluster_name": ("blue", "green"),
        "process_path": ("/opt/hit", "/opt/miss"),
        "process_sha256": ("b" * 64, "c" * 64),
        "drift_kind": ("fileless", "replaced"),
    }
    of_form: dict[str, tuple[Any, Any]] = {
        "image": ("ghcr.io/team/hit:1", "ghcr.io/team/miss:1"),
        "labels": ({"tier": "hit"}, {"tier": "miss"}),
    }
    if each.values:
        return each.values[0], each.values[1]
    return special.get(each.name) or of_form.get(each.form) or (f"hit-{each.name}", f"miss-{each.name}")


def rule_value(each: Property) -> str:
    hit = values(each)[0]
    return "tier=hit" if each.form == "labels" else str(hit)


def event_with(each: Property, value: Any, path: str) -> tuple[int, Json]:
    """The index of the sensor that sends it, and the event; only its path and the property differ from another's."""
    made = event(process__path=path)
    made["container"]["owner"] = {"kind": "Deployment", "name": "cart"}
    made["decision"] = {"action": "alert", "rule": "default", "reason": "default", "policy_number": NUMBER}
    root, *way = each.event[0].replace("?", "").split(".")
    if root == "credential":
        return CLUSTERS[value], made
    at = made if root == "event" else made["container"]["owner"] if root == "owner" else made[root]
    for step in way[:-1]:
        at[step] = at.get(step) or {}
        at = at[step]
    at[way[-1]] = value
    return 0, json.loads(wire.encode_event(msgspec.convert(made, wire.Event)))


def document(each: Property, action: str = "ignore", operator: str = "equals") -> Json:
    """One rule by the property, and an alert on everything else."""
    rule = {
        "id": RULE,
        "name": "Walked",
        "action": action,
        "scope_description": "walked",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [],
        "allow_list": [],
        each.scope: [{"property": each.name, "any_of": [{"operator": operator, "value": rule_value(each)}]}],
    }
    return normalise({**EVERYTHING, "rules": [rule]})


def flat(index: int, sent: Json) -> Json:
    """The flat event that the sensor evaluates."""
    cluster = next(name for name, first in CLUSTERS.items() if first == index)
    return wire.flatten(wire.decode_event(raw(sent)[0]), "azure", "sub-1", cluster)


@pytest.fixture
def seen(estate: Estate, queued: list[Any], request: pytest.FixtureRequest) -> list[tuple[int, Json]]:
    """Three events that the property's rule matches and two that it does not, stored; each pair one fingerprint."""
    each: Property = request.param
    hit, miss = values(each)
    found = [event_with(each, hit, "/opt/hit") for _ in range(3)] + [event_with(each, miss, "/opt/miss") for _ in "12"]
    for index, sent in found:
        ingest(estate.sensors[index], raw(sent))
    return found


def each_property(of: list[Property] = PROPERTIES) -> pytest.MarkDecorator:
    """Runs a test with the events of each property in store."""
    return pytest.mark.parametrize(("seen", "each"), [(one, one) for one in of], indirect=["seen"], ids=named)


@pytest.mark.parametrize("each", PROPERTIES, ids=named)
def test_sensor_decides_by_the_property(each: Property) -> None:
    policy = compile_policy(document(each))
    hit, miss = (flat(*event_with(each, value, "/opt/x")) for value in values(each))

    assert each.name in hit
    assert (policy.decide(hit).action, policy.decide(miss).action) == ("ignore", "alert")
    # Again, for what is remembered of the first workload must not be taken for the second's.
    assert (policy.decide(hit).action, policy.decide(miss).action) == ("ignore", "alert")
    assert policy.decide({**hit, each.name: None}).action == "alert"
    for facts in (hit, miss):
        expected = naive.decide(document(each), facts)
        decision, trace = policy.explain(facts)
        assert (decision.rule, trace) == (expected["rule"], expected["trace"])


@pytest.mark.parametrize("each", PROPERTIES, ids=named)
def test_path_is_one_of_the_wire_and_marks_what_may_be_none(each: Property) -> None:
    for path in each.event:
        root, *steps = path.split(".")
        if root in ("credential", "owner"):
            continue
        struct: Any = wire.Event if root == "event" else get_type_hints(wire.Event)[root]
        may_be_none = False
        for step in steps:
            assert not may_be_none, f"{each.name}: a part of {path} may be None, but no ? follows it"
            hint = get_type_hints(struct)[step.removesuffix("?")]
            kinds = set(get_args(hint)) if type(None) in get_args(hint) else {hint}
            may_be_none = type(None) in kinds and not step.endswith("?")
            (struct,) = kinds - {type(None)}
        held = get_origin(struct) or struct
        assert held is dict if each.form == "labels" else held in (str, Literal), f"{each.name} is not a string"


@pytest.mark.parametrize("each", PROPERTIES, ids=named)
def test_stored_rows_hold_what_the_sensor_decided_on(estate: Estate, queued: list[Any], each: Property) -> None:
    # Nothing else differs between these: rows are shared by events that are alike in all other properties.
    found = [event_with(each, value, "/opt/same") for value in values(each)]
    if each.event[0].startswith(("container.", "owner.")):
        # The sensor may not know the workload, where the portal derives from labels what it can.
        found.append((found[0][0], without(each, found[0][1])))
    for index, sent in found:
        ingest(estate.sensors[index], raw(sent))
        stored = DriftEvent.objects.filter(event_id=sent["event_id"])
        decided = flat(index, sent)[each.name]
        if each.row == "event":
            read = EVENT_ROWS.facts(stored.values_list(*EVENT_ROWS.columns).get())
        else:
            rows = {"workload": WORKLOAD_ROWS, "binary": BINARY_ROWS, "provenance": PROVENANCE_ROWS}[each.row]
            read = rows.facts(stored.values_list(*(f"{each.row}__{column}" for column in rows.columns)).get())
        assert read[each.name] == decided, (
            "see drift/alerts/domain/fingerprints.py and drift/alerts/actions/event_keys.py"
        )


def without(each: Property, sent: Json) -> Json:
    """The same event, without the property's value where the wire allows that."""
    made: Json = {**copy.deepcopy(sent), "event_id": str(uuid.uuid4())}
    _, *way = each.event[0].replace("?", "").split(".")
    if each.event[0].startswith("owner.") or way[0] == "owner":
        made["container"]["owner"] = None
    else:
        made["container"].pop(way[-1])
    return made


@each_property()
def test_rule_effect_counts_what_the_sensor_decides(seen: list[Any], each: Property, reader: User) -> None:
    effect = rule_effect(reader, document(each), RULE)

    assert (effect.count, effect.total) == (3, 5)


@each_property()
def test_ignored_alerts_are_those_that_the_sensor_would_ignore(seen: list[Any], each: Property, reader: User) -> None:
    found = newly_ignored_alerts(reader, NUMBER, document(each), RULE)

    assert [Alert.objects.get(pk=pk).path for pk in found.revisions] == ["/opt/hit"]
    assert found.evaluated == 2


@each_property()
def test_backtest_counts_what_the_sensor_decides(seen: list[Any], each: Property) -> None:
    until = now() + dt.timedelta(minutes=1)
    result = comparison.compare(
        normalise(EVERYTHING), document(each), until.date() - dt.timedelta(days=1), until, lambda _: True
    )

    changed = [(one["after"]["rule"], one["after"]["action"], one["events"]) for one in result["transitions"]]
    assert changed == [(RULE, "ignore", 3)]
    assert (result["alerts"]["before"], result["alerts"]["vanish"]) == (2, 1)


@each_property([each for each in PROPERTIES if each.is_suggested])
def test_stored_values_are_suggested(seen: list[Any], each: Property, reader: User) -> None:
    expected = rule_value(each).removesuffix(":1")

    assert expected in suggestions(reader, each.name, "")
    assert expected in suggestions(reader, each.name, expected.upper())


@pytest.mark.parametrize("each", PROPERTIES, ids=named)
def test_suppression_matches_what_the_sensor_would(each: Property) -> None:
    conditions = document(each)["rules"][0][each.scope]
    if each.name in suppression_match.NOT_OFFERED:
        assert suppression_match.conditions_error(conditions) is not None
        return
    assert suppression_match.conditions_error(conditions) is None
    matched = suppression_match.compile_suppression(1, "Walked", frozenset(), conditions)
    hit, miss = (flat(*event_with(each, value, "/opt/x")) for value in values(each))
    row = next(row for row in SuppressionForm(conditions=conditions).rows if row.name == each.name)

    assert (matched.matches(1, hit, None), matched.matches(1, miss, None)) == (True, False)
    assert (row.values, set(row.operators)) == (rule_value(each), set(each.operators))


@pytest.mark.parametrize("each", PROPERTIES, ids=named)
def test_block_plan_never_contradicts_the_sensor(each: Property) -> None:
    policy = compile_policy(document(each, action="block"))
    place = ClusterLocation("azure", "sub-1", "blue")
    for value in values(each):
        index, sent = event_with(each, value, "/opt/x")
        facts, container = flat(index, sent), wire.decode_event(raw(sent)[0]).container
        place = place._replace(cluster_name=facts["cluster_name"])
        is_blocked = policy.decide(facts).action == "block"
        forecast = policy.predict_block(wire.flatten_container(container, *place), facts["drift_kind"])
        plan = block_plan(policy, KINDS, container, place)
        assert forecast in ({"always", "depends"} if is_blocked else {"never", "depends"})
        if each.scope == "resource_scope":
            assert forecast == ("always" if is_blocked else "never")
            assert plan.holds is is_blocked
            assert bool(plan.any_kinds & FILELESS) is is_blocked


@pytest.mark.parametrize("each", PROPERTIES, ids=named)
def test_form_takes_the_property_with_its_operators_alone(each: Property) -> None:
    for operator in OPERATORS:
        sent = QueryDict(mutable=True)
        sent.update(
            {
                "name": "Walked",
                "action": "ignore",
                "scope_description": "walked",
                "scope": "azure",
                f"{each.scope}.0.property": each.name,
                f"{each.scope}.0.0.operator": operator,
                f"{each.scope}.0.0.value": rule_value(each),
            }
        )
        errors = rule_errors(read_rule(sent), normalise(EVERYTHING))
        assert (errors == {}) is (operator in each.operators)
    label = each.label[0].lower() + each.label[1:]
    label = label.removesuffix("s") if each.form == "labels" else label
    assert label in describe_rule(document(each)["rules"][0])


@pytest.mark.parametrize("each", PROPERTIES, ids=named)
def test_panel_offers_the_property(estate: Estate, admin: User, client_of: ClientOf, each: Property) -> None:
    page = client_of(admin).get(reverse("policy:rule-new")).content.decode()

    builder = page.split(f'data-builder="{each.scope}"')[1].split("data-builder=")[0]
    assert f'<option value="{each.name}"' in builder
    assert f">{each.label}</option>" in builder
    equals_only = builder.split('data-equals-only="')[1].split('"')[0]
    assert (each.name in equals_only.split()) is (each.operators == ("equals",))


@pytest.mark.parametrize("each", PROPERTIES, ids=named)
def test_letter_case_counts_only_where_the_table_says(each: Property) -> None:
    changed = document(each)
    changed["rules"][0][each.scope][0]["any_of"][0]["value"] = rule_value(each).swapcase()
    if each.values:
        assert [error.field for error in check(changed)] == [f"{each.scope}[0].any_of[0].value"]
        return
    hit = flat(*event_with(each, values(each)[0], "/opt/x"))

    assert (compile_policy(changed).decide(hit).action == "ignore") is each.folds_case


def test_the_type_of_a_kind_lists_the_kinds_of_the_table() -> None:
    assert get_args(DriftKind) == KINDS
    assert set(HELD_KINDS).union(*KERNEL_KINDS.values()) <= set(KINDS)


@pytest.mark.parametrize("kind", DRIFT_KINDS, ids=named)
def test_kind_is_reported_decided_stored_and_described(
    estate: Estate, queued: list[Any], reader: User, kind: KindDefinition
) -> None:
    by_kind = next(each for each in TABLE if each.name == "drift_kind")
    condition = {"property": "drift_kind", "any_of": [{"operator": "equals", "value": kind.name}]}
    walked = document(by_kind)
    walked["rules"][0]["process_scope"] = [condition]
    walked["detect"] = [kind.name]
    _, sent = event_with(by_kind, kind.name, "/opt/hit")

    assert len(kind.name) <= (Binary._meta.get_field("kind").max_length or 0)
    assert check(walked) == []
    assert compile_policy(walked).decide(flat(0, sent)).action == "ignore"
    ingest(estate.sensors[0], raw(sent))
    alert = Alert.objects.get(binary__kind=kind.name)
    assert alert_json(reader, alert)["description"].startswith(kind.alert_text)
    assert rule_effect(reader, walked, RULE).count == 1
    assert list(newly_ignored_alerts(reader, NUMBER, walked, RULE).revisions) == [alert.pk]
    assert (kind.name, kind.label) in OPTIONS["kind"](reader)
    assert (kind.name in normalise(EVERYTHING)["detect"]) is kind.is_reported


@pytest.mark.parametrize("kind", DRIFT_KINDS, ids=named)
def test_panels_offer_the_kind(estate: Estate, admin: User, client_of: ClientOf, kind: KindDefinition) -> None:
    client = client_of(admin)
    detect = client.get(reverse("policy:detect")).content.decode()

    assert f'<option value="{kind.name}"></option>' in client.get(reverse("policy:rule-new")).content.decode()
    assert kind.label in detect
    assert escape(kind.definition) in detect


@pytest.mark.parametrize("kind", DRIFT_KINDS, ids=named)
def test_routine_kinds_are_blocked_only_by_a_rule_that_names_them(kind: KindDefinition) -> None:
    by_kind = next(each for each in TABLE if each.name == "drift_kind")
    named_rule = document(by_kind, action="block")
    named_rule["rules"][0]["process_scope"][0]["any_of"][0]["value"] = kind.name
    unnamed = document(by_kind, action="block")
    unnamed["rules"][0]["process_scope"] = []
    container = flat(*event_with(by_kind, kind.name, "/opt/x"))

    assert compile_policy(named_rule).predict_block(container, kind.name) == "always"
    assert compile_policy(unnamed).predict_block(container, kind.name) == ("never" if kind.is_routine else "always")
