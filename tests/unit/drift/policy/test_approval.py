"""Which changes need a second person: by mode, by environment, and whatever way they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.policy.domain.approval import ApprovalRule
from sensor.policy import compile_policy, default_document, normalise
from tests.unit.drift.policy.samples import rule

HERE, ELSEWHERE = ("azure", "sub-1"), ("aws", "111")
BLOCKING = ApprovalRule("blocking")
Change = Callable[[dict[str, Any]], dict[str, Any]]


def _cloud(place: tuple[str, str] | None) -> list[dict[str, Any]]:
    if place is None:
        return [{"provider": provider} for provider in ("azure", "aws", "gcp")]
    return [{"provider": place[0], "accounts": [place[1]]}]


def _rule(name: str, action: str, place: tuple[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return rule(name, action=action, cloud_scope=_cloud(place), **more)


def _document(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return normalise({**default_document(), "rules": list(rules), **more})


ABOVE, BLOCK, BELOW = _rule("Above", "ignore"), _rule("Block", "block"), _rule("Below", "ignore")
BEFORE = _document(ABOVE, BLOCK, BELOW)


@pytest.mark.parametrize(
    ("after", "needed"),
    [
        (_document(ABOVE, BLOCK), False),
        (_document(ABOVE, BLOCK, _rule("Below", "alert")), False),
        (_document(ABOVE, BLOCK, BELOW, default={"action": "alert"}), False),
        (_document({**ABOVE, "note": "x", "scope_description": "y", "name": "Z"}, BLOCK, BELOW), False),
        (_document(_rule("New", "alert", enabled=False), ABOVE, BLOCK, BELOW), False),
        (_document(ABOVE, BELOW), True),
        (_document(BLOCK, ABOVE, BELOW), True),
        (_document(BLOCK, BELOW), True),
        (_document(_rule("Above", "alert"), BLOCK, BELOW), True),
        (_document(_rule("Above", "ignore", HERE), BLOCK, BELOW), True),
        (_document(_rule("Above", "ignore", allow_list=["curl"]), BLOCK, BELOW), True),
        (_document(_rule("Above", "ignore", enabled=False), BLOCK, BELOW), True),
        (_document(_rule("Above", "ignore", expires_at="2030-01-01T00:00:00Z"), BLOCK, BELOW), True),
        (_document(_rule("New", "alert"), ABOVE, BLOCK, BELOW), True),
        (_document(ABOVE, _rule("Block", "alert"), BELOW), True),
        (_document(ABOVE, _rule("Block", "block", enabled=False), BELOW), True),
        (_document(ABOVE, _rule("Block", "block", allow_list=["curl"]), BELOW), True),
        (_document(ABOVE, BLOCK, BELOW, _rule("Second", "block")), True),
        (_document(ABOVE, BLOCK, BELOW, _rule("Dormant", "block", enabled=False)), True),
        (_document(ABOVE, BLOCK, BELOW, detect=["fileless"]), True),
        (_document(ABOVE, _rule("Block", "block", dry_run=True), BELOW), True),
        (_document(_rule("Above", "ignore", unlisted="next_rule", allow_list=["a"]), BLOCK, BELOW), True),
        (_document(ABOVE, BLOCK, BELOW, default={"action": "block"}), True),
        (_document(ABOVE, BLOCK, BELOW, default={"action": "block", "dry_run": True}), True),
    ],
)
def test_what_is_blocked_changes_only_with_a_second_person(after: dict[str, Any], needed: bool) -> None:
    assert BLOCKING.applies(BEFORE, after) is needed
    assert BLOCKING.applies(after, BEFORE) is needed
    assert not ApprovalRule("none").applies(BEFORE, after)
    assert ApprovalRule("all").applies(BEFORE, after)


def test_below_a_default_rule_that_blocks_the_kinds_that_are_detected_need_a_second_person() -> None:
    blocks = {"action": "block"}
    assert BLOCKING.applies(_document(default=blocks), _document(default=blocks, detect=["fileless"]))


def test_the_name_of_a_disabled_blocking_rule_decides_nothing_but_its_scope_does() -> None:
    dormant = _rule("Dormant", "block", enabled=False)
    before = _document(ABOVE, dormant)
    assert not BLOCKING.applies(before, _document(ABOVE, {**dormant, "name": "Asleep", "note": "x"}))
    assert BLOCKING.applies(before, _document(ABOVE, {**dormant, "cloud_scope": _cloud(HERE)}))


def test_without_a_blocking_rule_no_change_needs_a_second_person_but_in_mode_all() -> None:
    before, after = _document(ABOVE), _document(_rule("Above", "alert"), detect=["fileless"])
    assert not BLOCKING.applies(before, after)
    assert ApprovalRule("all").applies(before, after)
    assert not ApprovalRule("all").applies(before, before)


@pytest.mark.parametrize("mode", ["blocking", "all"])
@pytest.mark.parametrize(
    ("place", "needed"),
    [(HERE, True), (ELSEWHERE, False), (None, True), (("azure", "sub-2"), False), (("aws", "sub-1"), False)],
)
def test_by_environment_only_rules_that_reach_it_need_a_second_person(
    mode: str,
    place: tuple[str, str] | None,
    needed: bool,
) -> None:
    approval = ApprovalRule(mode, frozenset({HERE}))
    before, after = _document(), _document(_rule("New", "block", place))
    assert approval.applies(before, after) is needed
    assert approval.applies(after, before) is needed


@pytest.mark.parametrize("mode", ["blocking", "all"])
@pytest.mark.parametrize("place", [HERE, ELSEWHERE])
def test_a_rule_of_one_environment_of_several_needs_a_second_person(mode: str, place: tuple[str, str]) -> None:
    approval = ApprovalRule(mode, frozenset({HERE, ELSEWHERE}))
    assert approval.applies(_document(), _document(_rule("New", "block", place)))


def test_a_rule_that_leaves_or_enters_the_environment_needs_a_second_person() -> None:
    approval = ApprovalRule("blocking", frozenset({HERE}))
    inside, outside = _document(_rule("B", "block", HERE)), _document(_rule("B", "block", ELSEWHERE))
    assert approval.applies(inside, outside)
    assert approval.applies(outside, inside)
    both = _document(_rule("B", "block"))
    assert approval.applies(outside, both)


ACTIONS = st.sampled_from(["ignore", "alert", "block"])
RULES = st.lists(
    st.builds(
        lambda key, action, enabled, place, spaces, unlisted, names: rule(
            f"r{key}",
            action=action,
            enabled=enabled,
            cloud_scope=_cloud(place),
            resource_scope=[{"property": "namespace", "any_of": [{"operator": "equals", "value": spaces}]}]
            if spaces
            else [],
            allow_list=names,
            unlisted=unlisted if names else "decide",
        ),
        st.integers(0, 4),
        ACTIONS,
        st.booleans(),
        st.sampled_from([None, HERE, ELSEWHERE]),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from(["decide", "next_rule"]),
        st.sampled_from([[], ["curl"], ["curl", "bash"]]),
    ),
    max_size=5,
    unique_by=lambda each: each["id"],
)
EVENTS = [
    {"provider": place[0], "account": place[1], "namespace": space, "file_path": f"/tmp/{name}", "process_name": name}
    for place in (HERE, ELSEWHERE)
    for space in ("a", "b", "c")
    for name in ("curl", "bash", "nc")
]


@given(before=RULES, after=RULES)
def test_of_two_policies_without_a_second_person_no_process_is_blocked_by_one_alone(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    old, new = _document(*before), _document(*after)
    for environments in (frozenset(), frozenset({HERE})):
        if ApprovalRule("blocking", environments).applies(old, new):
            continue
        for event in EVENTS:
            if environments and (event["provider"], event["account"]) != HERE:
                continue
            blocked = [compile_policy(each).decide(event).action == "block" for each in (old, new)]
            assert blocked[0] == blocked[1], event
