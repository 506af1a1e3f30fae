"""Reading a rule and its errors from the panel's fields."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict

from drift.policy.forms.rule import empty_rule, read_rule, rule_errors, take_step
from tests.unit.drift.policy.samples import document, rule

PICTURE_FIVE = (
    "name=Rule+1&action=ignore&scope_description=Scope1&scope=azure&enabled=on&unlisted=decide"
    "&resource_scope.0.property=image_name"
    "&resource_scope.0.0.operator=starts_with&resource_scope.0.0.value=Test123"
    "&resource_scope.0.new1.operator=starts_with&resource_scope.0.new1.value=env123"
    "&allow_list=dev1.exe&allow_list="
)


def typed(query: str = PICTURE_FIVE) -> dict[str, Any]:
    return read_rule(QueryDict(query))


def test_the_rule_of_picture_five_is_read_as_it_is_typed() -> None:
    values = [{"operator": "starts_with", "value": "Test123"}, {"operator": "starts_with", "value": "env123"}]
    assert typed() == {
        **empty_rule(),
        "name": "Rule 1",
        "action": "ignore",
        "scope_description": "Scope1",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [{"property": "image_name", "any_of": values}],
        "allow_list": ["dev1.exe"],
    }
    assert rule_errors(typed(), document("Other")) == {}


def test_conditions_and_values_keep_the_order_of_the_form_whatever_their_keys() -> None:
    read = typed(
        "process_scope.9.property=process_name&process_scope.9.b.value=second&process_scope.9.b.operator=equals"
        "&process_scope.9.a.value=third&process_scope.1.property=process_path&process_scope.1.0.value=/x"
    )
    assert [(each["property"], [value["value"] for value in each["any_of"]]) for each in read["process_scope"]] == [
        ("process_name", ["second", "third"]),
        ("process_path", ["/x"]),
    ]


def test_a_whole_provider_takes_in_its_accounts_and_providers_keep_their_order() -> None:
    read = typed("scope=gcp:p:1&scope=aws:2&scope=aws&scope=azure:s1&scope=azure:s1&scope=azure:s2")
    assert read["cloud_scope"] == [
        {"provider": "azure", "accounts": ["s1", "s2"]},
        {"provider": "aws"},
        {"provider": "gcp", "accounts": ["p:1"]},
    ]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", None),
        ("2026-12-31T18:00", "2026-12-31T18:00:00Z"),
        ("2026-12-31T18:00:30", "2026-12-31T18:00:30Z"),
        ("soon", "soon"),
    ],
)
def test_an_expiry_is_in_utc(text: str, meant: str | None) -> None:
    assert typed(f"expires_at={text}")["expires_at"] == meant


def test_an_empty_rule_names_its_required_fields() -> None:
    assert rule_errors(empty_rule(), document()) == {
        "name": "Required",
        "scope_description": "Required",
        "cloud_scope": "At least one item must be selected",
    }


def test_each_error_is_reported_at_its_field() -> None:
    wrong = rule(
        "Other",
        id="",
        resource_scope=[{"property": "pod_labels", "any_of": [{"operator": "equals", "value": "app"}]}],
        process_scope=[{"property": "drift_kind", "any_of": [{"operator": "equals", "value": ""}]}],
        allow_list=["ok", "a/b"],
        expires_at="soon",
    )
    assert rule_errors(wrong, document("OTHER")).keys() == {
        "name",
        "resource_scope[0].any_of[0].value",
        "process_scope[0].any_of[0].value",
        "allow_list[1]",
        "expires_at",
    }


def test_a_rule_may_keep_its_own_name() -> None:
    assert rule_errors(document("A")["rules"][0], document("A", "B")) == {}
    assert rule_errors({**document("b")["rules"][0], "id": "a"}, document("A", "B")) == {
        "name": "Another rule has this name"
    }


def test_the_builders_buttons_work_without_javascript() -> None:
    grown = take_step(take_step(typed(), "add-condition:resource_scope"), "add-value:resource_scope:1")
    assert [len(each["any_of"]) for each in grown["resource_scope"]] == [2, 2]
    shrunk = take_step(take_step(grown, "remove-value:resource_scope:0:0"), "remove-value:resource_scope:0:0")
    assert [each["property"] for each in shrunk["resource_scope"]] == ["container_name"]
    assert take_step(grown, "clear:resource_scope")["resource_scope"] == []
    assert take_step(grown, "remove-entry:0")["allow_list"] == []


@pytest.mark.parametrize(
    "step",
    [
        "",
        "nonsense",
        "add-condition:name",
        "add-value:resource_scope:x",
        "remove-entry:x",
        "add-value:resource_scope:²",
        "remove-value:resource_scope:0:²",
        f"remove-entry:{'9' * 5000}",
    ],
)
def test_an_unknown_step_changes_nothing(step: str) -> None:
    assert take_step(typed(), step) == typed()
