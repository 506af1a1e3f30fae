"""Values that never match, as people paste them, and values that must not be called so: tests/golden/lint.json."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy import KINDS, PROCESS_PROPERTIES, check
from sensor.policy.document_terms import LIMITS
from sensor.policy.lint import LintFinding, lint, lint_rule, take_suggestion
from sensor.policy.lint.accounts import account_flaw
from sensor.policy.lint.findings import Flaw
from sensor.policy.lint.names import free_flaw
from sensor.policy.lint.rules import LINTS, value_flaw
from sensor.policy.properties import BY_NAME, TABLE
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

Json = dict[str, Any]
CORPUS = json.loads((Path(__file__).parents[3] / "golden" / "lint.json").read_text(encoding="utf-8"))
ALL_KINDS = {"detect": list(KINDS)}


def rule_of(case: Json) -> Json:
    """Return a rule with the case's one value, entry or account."""
    if "entry" in case:
        return minimal_rule(allow_list=[case["entry"]])
    if "account" in case:
        return minimal_rule(cloud_scope=[{"provider": case["provider"], "accounts": [case["account"]]}])
    scope = "process_scope" if case["property"] in PROCESS_PROPERTIES else "resource_scope"
    value = {"operator": case["operator"], "value": case["value"]}
    return minimal_rule() | {scope: [{"property": case["property"], "any_of": [value]}]}


def findings(rule: Json) -> list[LintFinding]:
    document = document_of(rule) | ALL_KINDS
    assert check(document) == [], "the corpus has only what check accepts"
    return lint(document)


def named(case: Json) -> str:
    return " ".join(str(case[key]) for key in ("property", "operator", "value", "entry", "account") if key in case)


def suggested(finding: LintFinding) -> Json:
    """Return the suggestion in the corpus's form."""
    meant = finding.suggestion
    if meant is None:
        return {}
    shown: Json = (
        {"entries": list(meant.entries)} if meant.entries else {"any_of": [list(each) for each in meant.values]}
    )
    shown |= {"and": [list(each) for each in meant.more]} if meant.more else {}
    return shown | ({"as": meant.name} if meant.name else {})


@pytest.mark.parametrize("case", CORPUS["dead"], ids=named)
def test_a_value_that_never_matches_is_found_with_what_was_meant(case: Json) -> None:
    (finding,) = findings(rule_of(case))
    expected = {key: case[key] for key in ("any_of", "and", "as", "entries") if case.get(key)}
    assert (finding.level, suggested(finding)) == (case["level"], expected), finding.message


@pytest.mark.parametrize("case", CORPUS["good"], ids=named)
def test_a_value_that_may_match_is_not_flagged(case: Json) -> None:
    assert [finding.line for finding in findings(rule_of(case))] == []


@pytest.mark.parametrize(
    "case", [case for case in CORPUS["dead"] if case.get("any_of") or case.get("entries")], ids=named
)
def test_a_suggestion_that_is_taken_is_valid_and_has_no_findings_itself(case: Json) -> None:
    rule = rule_of(case)
    (finding,) = findings(rule)
    assert findings(take_suggestion(rule, finding)) == []


def test_the_corpus_has_dead_values_of_every_property() -> None:
    named_in = {case["property"] for case in CORPUS["dead"] if "property" in case}
    assert named_in >= {each.name for each in TABLE if each.scope != "cloud_scope" and not each.values}
    assert len(CORPUS["dead"]) >= 600


def test_a_finding_names_its_rule_field_and_position() -> None:
    rules = [
        minimal_rule(1),
        rule_of({"property": "namespace", "operator": "equals", "value": "kube-*"}) | {"id": "r2", "name": "B"},
    ]
    (finding,) = lint(document_of(*rules))
    assert (finding.rule, finding.index, finding.field) == ("B", 1, "resource_scope[0].any_of[0].value")
    assert finding.line.startswith("B: resource_scope[0].any_of[0].value: warning: ")
    assert finding.as_json()["suggestion"] == {
        "words": "Starts with “kube-”",
        "any_of": [{"operator": "starts_with", "value": "kube-"}],
    }


def test_a_kind_that_sensors_do_not_report_is_a_warning() -> None:
    rule = rule_of({"property": "drift_kind", "operator": "equals", "value": "interpreter"})
    (finding,) = lint(document_of(rule))
    assert (finding.level, finding.message) == (
        "warning",
        "Sensors do not report this kind: it is off in Detection kinds.",
    )
    assert lint(document_of(rule) | ALL_KINDS) == []


def test_conditions_that_exclude_each_other_are_a_warning() -> None:
    both = [{"property": "namespace", "any_of": [{"operator": "equals", "value": name}]} for name in ("shop", "cart")]
    (finding,) = findings(minimal_rule(resource_scope=both))
    assert (finding.level, finding.field) == ("warning", "resource_scope[1].property")
    wider = [both[0], {"property": "namespace", "any_of": [{"operator": "starts_with", "value": "sh"}]}]
    assert findings(minimal_rule(resource_scope=wider)) == []


def test_two_labels_may_satisfy_two_conditions() -> None:
    both = [{"property": "pod_labels", "any_of": [{"operator": "equals", "value": text}]} for text in ("a=b", "c=d")]
    assert findings(minimal_rule(resource_scope=both)) == []


def test_another_property_is_suggested_only_for_a_condition_of_one_value() -> None:
    values = [{"operator": "equals", "value": text} for text in ("curl", "/usr/bin/wget")]
    (finding,) = findings(minimal_rule(process_scope=[{"property": "process_name", "any_of": values}]))
    assert (finding.level, finding.suggestion) == ("error", None)


def test_the_lint_of_a_rule_as_typed_leaves_to_check_what_check_rejects() -> None:
    odd = [
        {"property": "colour", "any_of": [{"operator": "equals", "value": "red "}]},
        {"property": "namespace", "any_of": [{"operator": "is", "value": "a b"}, {"operator": "equals", "value": ""}]},
    ]
    assert lint_rule(minimal_rule(resource_scope=odd, name="")) == []


@pytest.mark.parametrize(
    "name", [name for name, each in BY_NAME.items() if each.scope != "cloud_scope" and not each.values]
)
@pytest.mark.parametrize(
    "text", [" ", "*", "?", "^", "$", "\\", "(", "!", ",", "=", "/", ":", "@", "-", "\t", "“", "{{", "~", "%"]
)
def test_no_string_however_odd_makes_the_lint_fail(name: str, text: str) -> None:
    for operator in BY_NAME[name].operators:
        if not (name == "pod_labels" and operator == "equals" and "=" not in text):
            rule = rule_of({"property": name, "operator": operator, "value": text * 3})
            for finding in findings(rule):
                assert findings(take_suggestion(rule, finding)) == [] or finding.suggestion is None


def test_a_document_has_at_most_a_thousand_findings_and_what_follows_is_not_read() -> None:
    values = [{"operator": "equals", "value": "kube-*"}] * 100
    rules = [
        minimal_rule(number, resource_scope=[{"property": "namespace", "any_of": values}]) for number in range(10, 25)
    ]
    found = lint(document_of(*rules))
    assert (len(found), found[-1].index) == (1_000, 9)
    last = rules[-1]["id"]
    assert {each.index for each in lint(document_of(*rules), [last])} == {14}, "of one rule all are read"


@pytest.mark.parametrize(
    ("name", "string"),
    [
        ("process_sha256", f"!{'a' * 64}"),
        ("process_sha256", f"not {'a' * 64}"),
        ("process_sha256", f"sha256 != {'a' * 64}"),
        ("drift_kind", "!new_file"),
        ("drift_kind", "not new_file"),
        ("drift_kind", "drift_kind != new_file"),
        ("namespace", "namespace is not shop"),
        ("namespace", "namespace -ne shop"),
        ("namespace", "[^shop]"),
        ("namespace", "namespace: !shop"),
        ("namespace", "- !shop"),
        ("process_name", "name ne curl"),
        ("image_name", "image is not nginx"),
    ],
)
def test_what_is_negated_is_never_suggested_without_the_negation(name: str, string: str) -> None:
    flaw = value_flaw(name, "equals", string)
    assert flaw is not None
    assert flaw.suggestion is None


def test_a_string_that_check_rejects_for_its_length_is_not_read() -> None:
    began = time.process_time()
    for name in ("namespace", "process_path", "image_name"):
        assert value_flaw(name, "equals", "(a|" * 100_000) is None
    assert lint_rule(minimal_rule(allow_list=["/" + "(a|" * 100_000])) == []
    assert time.process_time() - began < 0.5


FORMS: dict[str, Callable[[str, str], Flaw | None]] = {
    **LINTS,
    "cluster_name": free_flaw,
    "account": lambda _, string: account_flaw("aws", string),
}
"""The function that reads a value, of each property and of accounts."""


PIECES = (
    *(" ", "\t", "\n", "\u00a0", "/", ",", "|", "(", "[", "'", "->", " > ", "a ", "1,", "x=", "?\r", "a\n", " or /x"),
    *("%20", "(a|", "[a-b", "((", "(deleted) ", "\u200b", " b/", "{a,", " env", " sudo", " nice env -i", " env FOO=1"),
)
STARTS = ("/", "glob:/", "/a b/", "/usr/bin/env", "/{", "a")


def test_nothing_again_and_again_up_to_its_limit_makes_the_lint_fail_or_take_long() -> None:
    """A thousand wrappers were deeper than calls may stand in each other; two thousand lines took 60 ms of CPU."""
    began = time.process_time()
    for piece in PIECES:
        string = ("a" + piece * 256)[:255] + "b"
        for name, read in FORMS.items():
            read("equals", string)
            value_flaw(name, "matches", string)
        for start in STARTS:
            lint_rule(minimal_rule(allow_list=[(start + piece * 4_096)[: 4_093 if start != "a" else 253] + " x"]))
    assert time.process_time() - began < 2


@st.composite
def pasted(draw: st.DrawFn, limit: int) -> str:
    """A string of pieces, one of them up to the limit."""
    few = st.lists(st.sampled_from([*PIECES, *STARTS]) | st.text(max_size=3), max_size=3).map("".join)
    return (draw(few) + draw(few) * limit)[: limit - 20] + draw(few)[:20]


@settings(max_examples=40)
@given(st.data())
def test_whatever_check_accepts_is_read_without_an_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(set(LINTS) | {"cluster_name"})))
    operator = data.draw(st.sampled_from(BY_NAME[name].operators))
    value_flaw(name, operator, data.draw(pasted(LIMITS["value"])))
    account = data.draw(pasted(LIMITS["account"]))
    entry = data.draw(st.sampled_from(STARTS)) + data.draw(pasted(LIMITS["path"] - 20))
    scope = [{"provider": data.draw(st.sampled_from(["aws", "azure", "gcp"])), "accounts": [account]}]
    rule = minimal_rule(allow_list=[entry], cloud_scope=scope)
    for finding in lint_rule(rule):
        take_suggestion(rule, finding)


def test_many_conditions_on_one_property_are_compared_in_few_steps() -> None:
    """Conditions that exclude each other behind twelve with two values each took 0.8 s of CPU, of each rule."""
    open_ones = [[("contains", f"a{number}"), ("contains", f"b{number}")] for number in range(48)]
    exclusive = [[("starts_with", "/x"), ("starts_with", "/y")], [("starts_with", "/z"), ("starts_with", "/w")]]
    conditions = [
        {"property": "process_path", "any_of": [{"operator": operator, "value": string} for operator, string in each]}
        for each in [*open_ones[:12], *exclusive, *open_ones[12:]]
    ]
    assert check(document_of(minimal_rule(process_scope=conditions))) == []
    began = time.process_time()
    lint_rule(minimal_rule(process_scope=conditions))
    assert time.process_time() - began < 0.6


def test_of_a_rule_as_typed_no_more_values_are_read_than_it_may_have() -> None:
    many = [{"operator": "equals", "value": "kube-*"}] * 60
    conditions = [{"property": "namespace", "any_of": many} for _ in range(100)]
    rule = minimal_rule(
        resource_scope=conditions,
        process_scope=[{"property": "process_name", "any_of": many}],
        allow_list=["*.sh"] * 20_000,
    )
    read = Counter(each.field.partition("[")[0] for each in lint_rule(rule) if not each.field.endswith("property"))
    assert read == {"resource_scope": 100, "allow_list": 100}
    empty = [{"property": "namespace", "any_of": []}] * 20_000
    assert lint_rule(minimal_rule(resource_scope=empty)) != [], "conditions without a value count as one"


def test_of_a_rule_as_typed_no_more_accounts_are_read_than_a_document_may_have() -> None:
    def found(good: int, dead: int) -> int:
        accounts = ["123456789012"] * good + ["1*"] * dead
        return len(lint_rule(minimal_rule(cloud_scope=[{"provider": "aws", "accounts": accounts}])))

    assert (found(9_999, 2), found(10_000, 1), found(0, 2_000)) == (1, 0, 1_000)


def test_values_are_read_up_to_the_length_that_check_accepts() -> None:
    def read(value: str, entry: str, account: str) -> int:
        return len(
            lint_rule(
                minimal_rule(
                    cloud_scope=[{"provider": "aws", "accounts": [account]}],
                    resource_scope=[{"property": "namespace", "any_of": [{"operator": "equals", "value": value}]}],
                    allow_list=[entry],
                )
            )
        )

    assert read("*" * 256, "/" * 4_096, "*" * 256) == 3
    assert read("*" * 257, "/" * 4_097, "*" * 257) == 0
    assert read("*" * 256, "*" * 257, "*" * 256) == 2


@pytest.mark.parametrize("name", ["namespace", "process_name", "cluster_name"])
def test_a_call_with_many_quotes_takes_the_lint_no_time(name: str) -> None:
    began = time.process_time()
    for string in ("like(" + "'" * 4_000, "x.like('" + "'a" * 1_900 + ")", "contains (" + "\"'" * 2_000):
        FORMS[name]("equals", string)
    assert time.process_time() - began < 0.8
