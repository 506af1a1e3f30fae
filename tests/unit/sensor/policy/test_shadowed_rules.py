from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy import PolicyInvalid, shadowed
from sensor.policy.subsumption import SubsumptionIndex
from tests.unit.sensor.policy import naive
from tests.unit.sensor.policy.strategies import documents, events, rules
from tests.unit.sensor.policy.test_document import condition, document_of, minimal_rule
from tests.unit.sensor.policy.test_implication import TEXTS

Json = dict[str, Any]
SHA = "ab" * 32


def where(name: str, operator: str, *texts: str) -> Json:
    return {"property": name, "any_of": [{"operator": operator, "value": text} for text in texts]}


def marks(*parts: Json) -> dict[str, str]:
    return shadowed(document_of(*(minimal_rule(number, **part) for number, part in enumerate(parts, 1))))


ANY: Json = {}
SHOP: Json = {"resource_scope": [where("namespace", "starts_with", "shop")]}
SHOP_PROD: Json = {"resource_scope": [where("namespace", "equals", "Shop-Prod")]}


def test_a_rule_for_everything_shadows_the_rules_below_it() -> None:
    assert marks(ANY, SHOP) == {"r2": "r1"}
    assert marks(SHOP, ANY) == {}


def test_a_wider_prefix_shadows_a_value_whatever_its_letter_case() -> None:
    assert marks(SHOP, SHOP_PROD) == {"r2": "r1"}
    assert marks(SHOP_PROD, SHOP) == {}


def test_the_first_shadowing_rule_is_named() -> None:
    assert marks(SHOP, ANY, SHOP_PROD) == {"r3": "r1"}


def test_process_properties_are_compared_case_sensitively() -> None:
    def process(operator: str, text: str) -> Json:
        return {"process_scope": [where("process_name", operator, text)]}

    assert marks(process("starts_with", "xm"), process("equals", "xmrig")) == {"r2": "r1"}
    assert marks(process("starts_with", "xm"), process("equals", "XMrig")) == {}


def test_more_conditions_above_shadow_nothing() -> None:
    both = {"resource_scope": [*SHOP["resource_scope"], where("pod_name", "contains", "x")]}
    assert marks(both, SHOP) == {}
    assert marks(SHOP, both) == {"r2": "r1"}


def test_all_values_must_be_covered() -> None:
    two = {"resource_scope": [where("namespace", "equals", "shop-1", "pay")]}
    assert marks(SHOP, two) == {}
    assert marks({"resource_scope": [where("namespace", "contains", "ho", "pa")]}, two) == {"r2": "r1"}


def test_a_value_that_its_own_rule_excludes_need_not_be_covered() -> None:
    narrowed = {"resource_scope": [where("namespace", "equals", "shop-1", "pay"), where("namespace", "ends_with", "1")]}
    assert marks(SHOP, narrowed) == {"r2": "r1"}


@pytest.mark.parametrize(
    ("above", "below", "covered"),
    [
        ([{"provider": "azure"}], [{"provider": "azure", "accounts": ["1"]}], True),
        ([{"provider": "azure", "accounts": ["1"]}], [{"provider": "azure"}], False),
        ([{"provider": "azure", "accounts": ["1", "2"]}], [{"provider": "azure", "accounts": ["2"]}], True),
        ([{"provider": "azure", "accounts": ["1"]}], [{"provider": "azure", "accounts": ["1", "2"]}], False),
        ([{"provider": "aws"}], [{"provider": "azure"}], False),
        ([{"provider": "aws"}, {"provider": "azure"}], [{"provider": "azure"}], True),
        ([{"provider": "azure"}], [{"provider": "azure"}, {"provider": "gcp"}], False),
        ([{"provider": "azure", "accounts": ["a"]}], [{"provider": "azure", "accounts": ["A"]}], False),
        (
            [{"provider": "azure", "accounts": ["1"]}, {"provider": "azure", "accounts": ["2"]}],
            [{"provider": "azure", "accounts": ["1", "2"]}],
            True,
        ),
        ([{"provider": "azure"}, {"provider": "azure", "accounts": ["1"]}], [{"provider": "azure"}], True),
    ],
)
def test_cloud_scopes(above: list[Json], below: list[Json], covered: bool) -> None:
    assert marks({"cloud_scope": above}, {"cloud_scope": below}) == ({"r2": "r1"} if covered else {})


def test_disabled_rules_neither_shadow_nor_are_shadowed() -> None:
    assert marks({"enabled": False}, SHOP) == {}
    assert marks(ANY, {"enabled": False}) == {}


def test_a_rule_that_decides_everything_shadows_and_one_that_passes_on_does_not() -> None:
    assert marks({"allow_list": ["a"]}, SHOP) == {"r2": "r1"}
    assert marks({"allow_list": ["a"], "unlisted": "next_rule"}, SHOP) == {}
    assert marks({"allow_list": [], "unlisted": "next_rule"}, SHOP) == {"r2": "r1"}


@pytest.mark.parametrize(
    ("above", "below", "covered"),
    [
        (["a", "b"], ["b"], True),
        (["a"], ["a", "b"], False),
        (["run"], ["/usr/bin/run"], True),
        (["/usr/bin/run"], ["run"], False),
        (["/usr/bin/run"], ["/usr/bin/run"], True),
        ([f"sha256:{SHA}"], [f"sha256:{SHA}"], True),
        (["run"], [f"sha256:{SHA}"], False),
        (["run", f"sha256:{SHA}"], [f"sha256:{SHA}", "/x/run", "run"], True),
    ],
)
def test_of_two_rules_that_pass_on_the_one_with_the_longer_list_shadows(
    above: list[str], below: list[str], covered: bool
) -> None:
    lists = [{"allow_list": entries, "unlisted": "next_rule"} for entries in (above, below)]
    assert marks(*lists) == ({"r2": "r1"} if covered else {})
    # With a decision about the rest, the second rule decides what the first passes on.
    assert marks(lists[0], {"allow_list": below}) == {}


@pytest.mark.parametrize(
    ("entries", "scope", "covered"),
    [
        ([f"sha256:{SHA}"], [where("process_sha256", "equals", SHA)], True),
        ([f"sha256:{SHA}"], [where("process_sha256", "equals", "cd" * 32)], False),
        (["run"], [where("process_path", "ends_with", "/run")], False),
        (["run"], [where("process_path", "ends_with", "/run"), where("drift_kind", "equals", "new_file")], True),
        (["run"], [where("process_path", "equals", "run"), where("drift_kind", "equals", "new_file")], True),
        (["run"], [where("process_path", "ends_with", "run"), where("drift_kind", "equals", "new_file")], False),
        (["run"], [where("process_name", "equals", "run"), where("drift_kind", "equals", "new_file")], False),
        (["/a/run"], [where("process_path", "equals", "/a/run"), where("drift_kind", "equals", "script")], True),
        (["/a/run"], [where("process_path", "equals", "/a/run"), where("drift_kind", "equals", "fileless")], False),
    ],
)
def test_a_scope_that_puts_the_process_on_the_list_is_covered(
    entries: list[str], scope: list[Json], covered: bool
) -> None:
    passes_on = {"allow_list": entries, "unlisted": "next_rule"}
    assert marks(passes_on, {"process_scope": scope}) == ({"r2": "r1"} if covered else {})


def test_the_listed_paths_and_contents_of_a_rule_are_compared() -> None:
    by_path = {"process_scope": [where("process_path", "starts_with", "/usr/")]}
    by_hash = {"process_scope": [where("process_sha256", "equals", SHA)]}
    passing = {"unlisted": "next_rule"}
    assert marks(by_path, {"allow_list": ["/usr/bin/a"], **passing}) == {"r2": "r1"}
    assert marks(by_path, {"allow_list": ["/usr/bin/a", "/bin/b"], **passing}) == {}
    assert marks(by_path, {"allow_list": ["/usr/bin/a", "b"], **passing}) == {}
    assert marks(by_hash, {"allow_list": [f"sha256:{SHA}"], **passing}) == {"r2": "r1"}
    assert marks(by_hash, {"allow_list": [f"sha256:{SHA}", "a"], **passing}) == {}
    assert marks(by_path, {"allow_list": ["/usr/bin/a"]}) == {}


def test_a_rule_that_nothing_matches_is_not_called_shadowed() -> None:
    never = {"resource_scope": [where("namespace", "equals", "a"), where("namespace", "equals", "b")]}
    assert marks(ANY, never) == {}


def test_an_invalid_document_is_rejected() -> None:
    with pytest.raises(PolicyInvalid):
        shadowed([])


def test_many_rules_are_compared_quickly() -> None:
    parts = [{"resource_scope": [condition(5), where("pod_name", "starts_with", f"p{n}-")]} for n in range(300)]
    parts.append({"resource_scope": [condition(3), where("pod_name", "equals", "p7-x")]})
    assert marks(*parts) == {"r301": "r8"}


@st.composite
def narrowed(draw: st.DrawFn) -> Json:
    """A document in which some rules are narrower copies of rules above."""
    document: Json = draw(documents(max_rules=3))
    for number, rule in enumerate(list(document["rules"])):
        copy = dict(rule)
        more: Json = draw(rules(50 + number))
        for key in ("resource_scope", "process_scope", "allow_list"):
            copy[key] = [*rule[key], *more[key][:1]]
        copy |= {"id": more["id"], "name": more["name"], "unlisted": more["unlisted"]}
        document["rules"].insert(draw(st.integers(0, len(document["rules"]))), copy)
    return document


@settings(max_examples=40, deadline=None)
@given(narrowed(), st.lists(events(), min_size=6, max_size=12))
def test_no_event_is_ever_decided_by_a_shadowed_rule(document: Json, sample: list[Json]) -> None:
    found = shadowed(document)
    order = [rule["id"] for rule in document["rules"]]
    for event in sample:
        assert naive.decide(document, event)["rule"] not in found
    for rule_id, shadow in found.items():
        assert order.index(shadow) < order.index(rule_id)
        alone = {**document, "rules": [rule for rule in document["rules"] if rule["id"] in (rule_id, shadow)]}
        for event in sample:
            assert naive.decide(alone, event)["rule"] != rule_id


@settings(max_examples=60, deadline=None)
@given(narrowed())
def test_no_skipped_pair_of_rules_would_have_been_marked(document: Json) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SubsumptionIndex, "candidates", lambda self, known: -1)
        compared_all = shadowed(document)
    assert shadowed(document) == compared_all


# A small world in full: every namespace that two conditions distinguish (test_implication), every process that matters.
NAMESPACES = [None, *TEXTS]
PATHS = (None, "/a", "/x/a", "/y/a", "/b", "/y/b", "/z")
PROCESSES = [{"process_path": path, "process_sha256": sha} for path in PATHS for sha in (None, SHA)]
small_values = st.builds(
    lambda operator, text: {"operator": operator, "value": text},
    st.sampled_from(["equals", "starts_with", "ends_with", "contains"]),
    st.sampled_from(["a", "b", "ab", "ba", "aa"]),
)
small_conditions = st.builds(
    lambda any_of: {"property": "namespace", "any_of": any_of}, st.lists(small_values, min_size=1, max_size=2)
)
small_rules = st.fixed_dictionaries(
    {
        "resource_scope": st.lists(small_conditions, max_size=2),
        "allow_list": st.lists(st.sampled_from(["a", "/a", "/x/a", "b", f"sha256:{SHA}"]), max_size=2),
        "unlisted": st.sampled_from(["decide", "next_rule"]),
    }
)


@settings(max_examples=100, deadline=None)
@given(small_rules, small_rules)
def test_in_a_small_world_exactly_the_rules_that_never_decide_are_marked(above: Json, below: Json) -> None:
    document = document_of(minimal_rule(1, **above), minimal_rule(2, **below))
    first, second = document["rules"]
    # A rule decides if its scope matches and its list does not pass the process on: each is checked by itself.
    namespaces = [text for text in NAMESPACES if in_scope(second, text)]
    processes = [process for process in PROCESSES if takes(second, process)]
    never = all(in_scope(first, text) for text in namespaces) and all(takes(first, each) for each in processes)
    assert shadowed(document) == ({"r2": "r1"} if namespaces and processes and never else {})


def in_scope(rule: Json, namespace: str | None) -> bool:
    return naive.why_not({**rule, "allow_list": []}, {"provider": "azure", "namespace": namespace}) is None


def takes(rule: Json, process: Json) -> bool:
    return naive.why_not({**rule, "resource_scope": []}, {"provider": "azure", **process}) is None
