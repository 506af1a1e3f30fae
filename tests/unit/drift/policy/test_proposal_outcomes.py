"""A proposal is saved by the version that contains it; only one admin at a time has it in a draft."""

from __future__ import annotations

from typing import Any

import pytest

from drift.policy.actions import drafts, proposals, versions
from drift.policy.domain import edits
from drift.policy.errors import ProposalTaken
from drift.policy.models import PolicyProposal
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def proposal(operator: Any, admin: Any, queued: list[Any]) -> PolicyProposal:
    """The operator proposes another default; it is in the admin's draft."""
    drafts.change_draft(draft_state(operator), edits.set_default_action("alert"))
    proposals.propose_draft(draft_state(operator))
    found = PolicyProposal.objects.get()
    proposals.take_proposal(draft_state(admin), found)
    return found


@pytest.mark.parametrize(("default", "state"), [("alert", "saved"), ("ignore", "open")])
def test_a_version_saves_the_proposals_that_it_contains_and_releases_the_others(
    admin: Any, proposal: PolicyProposal, default: str, state: str
) -> None:
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Mine")))
    drafts.change_draft(draft_state(admin), edits.set_default_action(default))

    assert versions.save_draft(draft_state(admin)).is_new

    proposal.refresh_from_db()
    assert (proposal.state, proposal.taken_by) == (state, None)


def test_a_proposal_in_another_admins_draft_cannot_be_copied(owner: Any, admin: Any, proposal: PolicyProposal) -> None:
    with pytest.raises(ProposalTaken):
        proposals.take_proposal(draft_state(owner), proposal)

    proposal.refresh_from_db()
    assert proposal.taken_by == admin
    assert not draft_state(owner).is_dirty


def test_a_moved_rule_that_was_moved_back_is_not_saved(operator: Any, admin: Any, queued: list[Any]) -> None:
    versions.save_document(admin, document("A", "B"), 1)
    ids = [each["id"] for each in draft_state(admin).document["rules"]]
    drafts.change_draft(draft_state(operator), edits.reorder(ids[::-1]))
    proposals.propose_draft(draft_state(operator))
    proposals.take_proposal(draft_state(admin), PolicyProposal.objects.get())
    drafts.change_draft(draft_state(admin), edits.reorder(ids))
    drafts.change_draft(draft_state(admin), edits.set_default_action("alert"))

    versions.save_draft(draft_state(admin))

    assert PolicyProposal.objects.get().is_open
