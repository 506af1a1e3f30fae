"""What the rule panel says that a rule lets through which trusts a writer."""

from __future__ import annotations

from typing import Any

import pytest

from drift.policy.domain.trusted_writers import let_through
from tests.unit.sensor.policy.test_document import minimal_rule

WHOLE = {
    "written_by": "/usr/bin/dpkg",
    "writer_origin": "image",
    "session": "workload",
    "written_in_session": "workload",
    "process_path": "/usr/",
}
GIVEN = "What the writer is made to write passes, such as dpkg -i evil.deb."


def rule(action: str = "ignore", **conditions: str) -> dict[str, Any]:
    scope = [
        {"property": name, "any_of": [{"operator": "equals", "value": value}]} for name, value in conditions.items()
    ]
    return minimal_rule(action=action, process_scope=scope)


def without(name: str) -> dict[str, Any]:
    return rule(**{each: value for each, value in WHOLE.items() if each != name})


def test_a_whole_rule_lets_through_what_its_tool_is_given() -> None:
    assert let_through(rule(**WHOLE)) == [GIVEN]


@pytest.mark.parametrize(
    ("missing", "advice"),
    [
        ("written_by", "add Writer path."),
        ("writer_origin", "add Writer origin equals image."),
        ("session", "add Session equals workload."),
        ("written_in_session", "add Writer session equals workload."),
        ("process_path", "add Process path."),
    ],
)
def test_what_a_rule_leaves_out_is_named_with_what_to_add(missing: str, advice: str) -> None:
    said = let_through(without(missing))
    assert sum(line.endswith(advice) for line in said) == 1
    assert len(said) == (1 if missing == "written_by" else 2)


@pytest.mark.parametrize(
    "other",
    [
        rule(action="alert", **WHOLE),
        rule(action="block", **WHOLE),
        rule(process_path="/usr/"),
        rule(session="workload"),
    ],
)
def test_rules_that_trust_no_writer_need_no_words(other: dict[str, Any]) -> None:
    assert let_through(other) == []


def test_the_examples_are_those_of_its_tools() -> None:
    (line, *_) = let_through(rule(**{**WHOLE, "written_by": "/usr/local/bin/python3.12"}))
    assert line == "What the writer is made to write passes, such as pip install ./evil."
    (line, *_) = let_through(rule(**{**WHOLE, "written_by": "/opt/agent"}))
    assert line == "What the writer is made to write passes."
