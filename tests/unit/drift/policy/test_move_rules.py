"""Rules moved from the menu: to the top, to a position, above another rule; with and without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from drift.policy.models import PolicyVersion
from tests.unit.drift.policy.page_client import names, send, text

pytestmark = pytest.mark.django_db

DEFAULT = "Default binary drift rule"


@pytest.mark.parametrize(("do", "order"), [("top", "CAB"), ("bottom", "ABC")])
def test_a_rule_goes_to_either_end(editor: Client, admin: Any, three_rules: PolicyVersion, do: str, order: str) -> None:
    moved = send(editor, admin, "command/", {"do": do, "rule": ["c"]})
    assert names(moved) == [*order, DEFAULT]


@pytest.mark.parametrize(
    ("fields", "order"),
    [({"position": "1"}, "CAB"), ({"position": "99"}, "ABC"), ({"above": " b "}, "ACB"), ({"above": "A"}, "CAB")],
)
def test_a_rule_goes_to_a_position_or_above_a_rule(
    editor: Client, admin: Any, three_rules: PolicyVersion, fields: dict[str, str], order: str
) -> None:
    panel = text(send(editor, admin, "command/", {"do": "move", "rule": ["c"]}))
    assert "Move 1 rule" in panel
    assert '<option value="C">' not in panel
    assert names(send(editor, admin, "move/", {"rule": ["c"], **fields})) == [*order, DEFAULT]


@pytest.mark.parametrize(
    "fields", [{}, {"position": "0"}, {"position": "x"}, {"position": "-1"}, {"above": "c"}, {"above": "gone"}]
)
def test_a_place_that_does_not_exist_keeps_the_panel_open(
    editor: Client, admin: Any, three_rules: PolicyVersion, fields: dict[str, str]
) -> None:
    refused = send(editor, admin, "move/", {"rule": ["c"], **fields})
    assert refused.status_code == 422
    assert 'name="rule" value="c"' in text(refused)
    # Leaving the panel asks first: what was refused is nowhere else.
    assert " data-typed>" in text(refused)
    assert " data-typed" not in text(send(editor, admin, "command/", {"do": "move", "rule": ["c"]}))


def test_a_rule_that_is_gone_is_not_moved(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    assert send(editor, admin, "move/", {"rule": ["x"], "position": "1"}).status_code == 409


def test_the_panel_works_without_javascript(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    page = send(editor, admin, "command/", {"do": "move", "rule": ["c"]}, htmx=False)
    assert 'action="/settings/policy/move/"' in text(page)
    assert send(editor, admin, "move/", {"rule": ["c"], "position": "1"}, htmx=False).status_code == 302
