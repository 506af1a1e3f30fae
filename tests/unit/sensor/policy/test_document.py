from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy import (
    DEFAULT_DETECT,
    PolicyInvalid,
    check,
    check_rule,
    compile_policy,
    default_document,
    digest,
    normalise,
)
from tests.unit.sensor.policy.strategies import documents

Json = dict[str, Any]
KEYS = ("schema", "rules", "default", "detect", "id", "name", "action", "cloud_scope", "resource_scope", "any_of", "x")
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=4),
    max_leaves=8,
)
OPTIONAL = ("enabled", "unlisted", "process_scope", "expires_at", "note")


def minimal_rule(number: int = 1, **parts: Any) -> Json:
    rule = {
        "id": f"r{number}",
        "name": f"Rule {number}",
        "action": "alert",
        "scope_description": "some",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [],
        "allow_list": [],
    }
    return rule | parts


def document_of(*rules: Json) -> Json:
    return {"schema": 1, "rules": list(rules), "default": {"action": "ignore"}}


def condition(count: int, name: str = "namespace") -> Json:
    return {"property": name, "any_of": [{"operator": "equals", "value": f"v{n}"} for n in range(count)]}


def messages(document: object) -> list[str]:
    return [str(error) for error in check(document)]


@given(anything)
def test_check_never_raises_on_arbitrary_json(document: Any) -> None:
    assert all(error.message for error in check(document))


@settings(max_examples=40, deadline=None)
@given(documents(max_rules=2), anything, st.randoms())
def test_check_never_raises_on_a_document_with_one_part_replaced(document: Json, part: Any, random: Any) -> None:
    broken = copy.deepcopy(document)
    replace_somewhere(broken, part, random)
    errors = check(broken)
    if errors:
        with pytest.raises(PolicyInvalid) as caught:
            normalise(broken)
        assert caught.value.errors == errors
    else:
        compile_policy(broken)


def replace_somewhere(node: Any, part: Any, random: Any) -> None:
    key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
    if isinstance(node[key], dict | list) and node[key] and random.random() < 0.8:
        replace_somewhere(node[key], part, random)
    else:
        node[key] = part


@settings(max_examples=30, deadline=None)
@given(documents(max_rules=2))
def test_normalising_twice_changes_nothing_more(document: Json) -> None:
    once = normalise(document)
    assert normalise(once) == once == document


@settings(max_examples=30, deadline=None)
@given(documents(max_rules=2))
def test_missing_optional_keys_get_their_defaults(document: Json) -> None:
    short = {key: value for key, value in document.items() if key != "detect"}
    short["rules"] = [{key: value for key, value in rule.items() if key not in OPTIONAL} for rule in document["rules"]]
    full = normalise(short)
    assert full["detect"] == list(DEFAULT_DETECT)
    for rule in full["rules"]:
        assert {key: rule[key] for key in OPTIONAL} == {
            "enabled": True,
            "unlisted": "decide",
            "process_scope": [],
            "expires_at": None,
            "note": "",
        }


def test_normalising_shares_nothing_with_its_input() -> None:
    document = document_of(minimal_rule(resource_scope=[condition(1)]))
    before = copy.deepcopy(document)
    full = normalise(document)
    full["rules"][0]["resource_scope"][0]["any_of"][0]["value"] = "changed"
    full["rules"][0]["cloud_scope"][0]["provider"] = "gcp"
    assert document == before


def test_the_default_policy_is_the_one_in_the_specification() -> None:
    document = default_document()
    assert check(document) == []
    assert normalise(document) == document
    (rule,) = document["rules"]
    assert (rule["name"], rule["action"]) == ("Alert on Kube-System namespace", "alert")
    assert rule["scope_description"] == "kube-system namespace"
    assert rule["cloud_scope"] == [{"provider": "azure"}, {"provider": "aws"}, {"provider": "gcp"}]
    assert document["default"] == {"action": "ignore"}
    assert "interpreter" not in document["detect"]
    assert digest(document) == digest(default_document())


def test_the_maximum_of_everything_is_allowed() -> None:
    full = [condition(60)] + [condition(10)] * 2
    rule = {"resource_scope": full, "process_scope": [condition(20, "process_name")], "allow_list": ["x"] * 100}
    rules = [minimal_rule(n, **rule) for n in range(1000)]
    rules[7]["cloud_scope"] = [{"provider": "aws", "accounts": ["a"] * 9_999}]
    rules[8]["cloud_scope"] = [{"provider": "aws", "accounts": ["a"]}]
    assert check(document_of(*rules)) == []


def test_one_rule_too_many_is_one_error() -> None:
    assert messages(document_of(*(minimal_rule(n) for n in range(1001)))) == [
        "document: rules: has 1001 entries, at most 1000 are allowed"
    ]


def test_scope_values_are_counted_over_resource_and_process_scope_together() -> None:
    rule = minimal_rule(resource_scope=[condition(50), condition(31)], process_scope=[condition(20, "process_name")])
    assert messages(document_of(rule)) == [
        "Rule 1: resource_scope: 101 values with process_scope, at most 100 are allowed"
    ]


def test_one_allow_list_entry_too_many_is_an_error() -> None:
    assert messages(document_of(minimal_rule(allow_list=["x"] * 101))) == [
        "Rule 1: allow_list: has 101 entries, at most 100 are allowed"
    ]


def test_accounts_are_counted_over_the_whole_document() -> None:
    rules = [minimal_rule(n, cloud_scope=[{"provider": "aws", "accounts": ["a"] * 5_000}]) for n in range(3)]
    assert messages(document_of(*rules)) == [
        "document: rules: 15000 accounts in all cloud scopes, at most 10000 are allowed"
    ]


def test_errors_name_rule_and_field() -> None:
    rule = minimal_rule(2, action="deny", colour="red")
    errors = check(document_of(minimal_rule(), rule))
    assert [(error.rule, error.index, error.field) for error in errors] == [
        ("Rule 2", 1, "colour"),
        ("Rule 2", 1, "action"),
    ]
    assert str(errors[1]) == "Rule 2: action: must be one of alert, block, ignore; did you mean block?"


def test_a_rule_is_checked_by_itself_as_it_is_in_a_document() -> None:
    rule = minimal_rule(allow_list=["a/b"])
    assert check_rule(rule) == check(document_of(rule))
    assert check_rule(minimal_rule()) == []


def test_the_exception_carries_the_errors_of_an_invalid_document() -> None:
    with pytest.raises(PolicyInvalid, match="document: must be an object") as caught:
        compile_policy([])
    assert [error.rule for error in caught.value.errors] == ["document"]


@pytest.mark.parametrize("key", [1, None, ("a",)])
def test_keys_that_are_not_strings_are_errors(key: Any) -> None:
    assert check({**document_of(), key: 1})[0].message == "unknown key"


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        ({"action": "deny"}, "block"),
        ({"action": "Alert"}, "alert"),
        ({"action": "allow"}, "ignore"),
        ({"action": "unblock"}, ""),
        ({"severity": "critical"}, "high"),
        ({"cloud_scope": [{"provider": "Amazon"}]}, "aws"),
        ({"allow_list": ["bin/x"]}, "/bin/x"),
        ({"allow_list": ["opt/app/*"]}, "glob:/opt/app/*"),
        ({"allow_list": ["./run.sh"]}, "glob:/*/run.sh"),
        ({"allow_list": ["^/tmp/.*"]}, "glob:/tmp/*"),
        ({"allow_list": [f"SHA256:{'B' * 64}"]}, f"sha256:{'b' * 64}"),
        ({"allow_list": ["tmp/"]}, "glob:/tmp/*"),
        ({"allow_list": ["glob: /opt/*"]}, "glob:/opt/*"),
        ({"allow_list": ["Glob:/opt/*"]}, "glob:/opt/*"),
        ({"allow_list": ["opt/{a,b}"]}, "/opt/a and /opt/b"),
        ({"allow_list": ["$ sudo /opt/x"]}, "/opt/x"),
        ({"allow_list": ["*/x"]}, "glob:/*/x"),
        ({"allow_list": ["bin/sh,bin/bash"]}, ""),
        ({"allow_list": ["~/x"]}, ""),
        ({"allow_list": ["docker.io/library/nginx"]}, ""),
        (("resource_scope", "image", "equals", "nginx"), "image_name"),
        (("resource_scope", "ns", "equals", "x"), "namespace"),
        (("process_scope", "proc.name", "equals", "x"), "process_name"),
        (("resource_scope", "namespace", "startsWith", "kube-"), "starts_with"),
        (("resource_scope", "namespace", "==", "kube-"), "equals"),
        (("resource_scope", "namespace", "not_equals", "kube-"), ""),
        (("process_scope", "session", "equals", "kubectl exec"), "exec"),
        (("process_scope", "session", "equals", "Exec"), "exec"),
        (("process_scope", "session", "equals", "exec, debug"), "exec and debug, each as a value of its own"),
        (("process_scope", "writer_origin", "equals", "Image"), "image"),
        (("process_scope", "written_in_session", "equals", "interactive"), "exec"),
        (("process_scope", "written_in_session", "equals", "malware"), ""),
        (("resource_scope", "namespace", "!contains", "shop"), ""),
        (("resource_scope", "namespace", " !equals", "shop"), ""),
        ({"action": "!block"}, ""),
        (("resource_scope", "pod_labels", "equals", "app: cart"), "Equals “app=cart”"),
        (("resource_scope", "pod_labels", "equals", "cart"), "Starts with “cart=”"),
    ],
    ids=str,
)
def test_an_error_names_the_term_that_was_probably_meant(rule: Any, meant: str) -> None:
    if isinstance(rule, tuple):
        scope, name, operator, string = rule
        rule = {scope: [{"property": name, "any_of": [{"operator": operator, "value": string}]}]}
    (error,) = check(document_of(minimal_rule(**rule)))
    assert error.message.partition("; did you mean ")[2].removesuffix("?") == meant, error.message


def test_only_the_first_errors_of_a_rule_name_what_was_meant() -> None:
    values = [{"operator": "Equals", "value": "x"}] * 50
    errors = check(document_of(minimal_rule(resource_scope=[{"property": "namespace", "any_of": values}])))
    assert [bool("did you mean" in each.message) for each in errors] == [True] * 10 + [False] * 40
