"""A proposal is saved by the version that holds it, and by no other; one admin at a time has it."""

from __future__ import annotations

from typing import Any

import pytest

from drift.policy.actions import drafts as actions
from drift.policy.actions import proposals as proposing
from drift.policy.domain import edits
from drift.policy.errors import ProposalTaken
from drift.policy.models import PolicyProposal
from drift.policy.queries.draft_state import state_of
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def proposal(operator: Any, admin: Any, queued: list[Any]) -> PolicyProposal:
    """The operator proposes another default; it is in the admin's draft."""
    actions.change_draft(operator, state_of(operator).point, edits.set_default_action("alert"))
    proposing.propose(operator, state_of(operator).point)
    found = PolicyProposal.objects.get()
    proposing.take(admin, state_of(admin).point, found)
    return found


@pytest.mark.parametrize(("default", "state"), [("alert", "saved"), ("ignore", "open")])
def test_a_version_saves_the_proposals_that_are_in_it_and_lets_go_of_the_others(
    admin: Any, proposal: PolicyProposal, default: str, state: str
) -> None:
    actions.change_draft(admin, state_of(admin).point, edits.add_rule(rule("Mine")))
    actions.change_draft(admin, state_of(admin).point, edits.set_default_action(default))

    assert actions.save_draft(admin, state_of(admin).point).is_new

    proposal.refresh_from_db()
    assert (proposal.state, proposal.taken_by) == (state, None)


def test_what_another_admin_has_in_a_draft_cannot_be_taken(owner: Any, admin: Any, proposal: PolicyProposal) -> None:
    with pytest.raises(ProposalTaken):
        proposing.take(owner, state_of(owner).point, proposal)

    proposal.refresh_from_db()
    assert proposal.taken_by == admin
    assert not state_of(owner).is_dirty


def test_a_moved_rule_that_was_moved_back_is_not_saved(operator: Any, admin: Any, queued: list[Any]) -> None:
    actions.save_document(admin, document("A", "B"), 1)
    ids = [each["id"] for each in state_of(admin).document["rules"]]
    actions.change_draft(operator, state_of(operator).point, edits.reorder(ids[::-1]))
    proposing.propose(operator, state_of(operator).point)
    proposing.take(admin, state_of(admin).point, PolicyProposal.objects.get())
    actions.change_draft(admin, state_of(admin).point, edits.reorder(ids))
    actions.change_draft(admin, state_of(admin).point, edits.set_default_action("alert"))

    actions.save_draft(admin, state_of(admin).point)

    assert PolicyProposal.objects.get().is_open
