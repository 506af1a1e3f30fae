"""An operator proposes a draft; an admin copies, saves or declines it."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from drift.policy.actions import drafts, proposals, versions
from drift.policy.domain import edits
from drift.policy.domain.draft_revision import DraftRevision
from drift.policy.errors import AlreadyProposed, NothingToPropose, ProposalDecided, StaleDraft
from drift.policy.models import PolicyProposal, PolicyVersion, ProposalState
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PAGE = "/settings/policy/"
HTMX = {"HX-Request": "true", "HX-Target": "panel"}


@pytest.fixture
def proposal(operator: Any, admin: Any, queued: list[Any]) -> PolicyProposal:
    """Version 2 has A; the operator proposes B below it."""
    versions.save_document(admin, document("A"), 1)
    drafts.change_draft(draft_state(operator), edits.add_rule(rule("B")))
    proposals.propose_draft(draft_state(operator), "For the build hosts")
    return PolicyProposal.objects.get()


def text(response: Any) -> str:
    return unescape(response.content.decode())


def names(user: Any) -> list[str]:
    return [each["name"] for each in draft_state(user).document["rules"]]


def last_audit() -> AuditEntry:
    return AuditEntry.objects.latest("id")


def test_a_proposal_keeps_the_draft_as_it_was_and_the_draft_starts_again(
    operator: Any, proposal: PolicyProposal
) -> None:
    assert [each["name"] for each in proposal.document["rules"]] == ["A", "B"]
    assert (proposal.base_id, proposal.comment, proposal.is_open) == (2, "For the build hosts", True)
    assert not draft_state(operator).is_dirty
    assert (last_audit().verb, last_audit().actor) == ("proposed", operator)
    assert PolicyVersion.objects.count() == 2


def test_a_draft_without_changes_and_a_second_open_proposal_are_rejected(
    operator: Any, proposal: PolicyProposal
) -> None:
    with pytest.raises(NothingToPropose):
        proposals.propose_draft(draft_state(operator))
    drafts.change_draft(draft_state(operator), edits.add_rule(rule("C")))
    with pytest.raises(AlreadyProposed):
        proposals.propose_draft(draft_state(operator))
    with pytest.raises(StaleDraft):
        proposals.propose_draft(draft_state(operator).expect(DraftRevision(2, 0)))
    assert names(operator) == ["A", "C"]
    assert PolicyProposal.objects.count() == 1


def test_a_proposal_copied_changed_and_saved_by_an_admin_becomes_a_version(
    admin: Any, operator: Any, proposal: PolicyProposal
) -> None:
    proposals.take_proposal(draft_state(admin), proposal)
    assert names(admin) == ["A", "B"]
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Mine")))
    saved = versions.save_draft(draft_state(admin), "Yes").version
    proposal.refresh_from_db()
    assert (proposal.state, proposal.version, proposal.decided_by) == ("saved", saved, admin)
    assert [each["name"] for each in saved.document["rules"]] == ["A", "B", "Mine"]
    entry = last_audit()
    assert (entry.verb, entry.after) == (
        "saved",
        {"state": "saved", "author": operator.email, "version": "v3"},
    )


def test_copying_merges_with_the_admins_draft_and_newer_versions(admin: Any, proposal: PolicyProposal) -> None:
    versions.save_document(admin, document("A", "C"), 2)
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Mine")))
    proposals.take_proposal(draft_state(admin), proposal)
    assert set(names(admin)) == {"A", "B", "C", "Mine"}


def test_discarding_a_draft_releases_its_proposals(admin: Any, proposal: PolicyProposal) -> None:
    proposals.take_proposal(draft_state(admin), proposal)
    proposal.refresh_from_db()
    assert proposal.taken_by == admin
    drafts.discard_draft(draft_state(admin))
    proposal.refresh_from_db()
    assert (proposal.state, proposal.taken_by) == ("open", None)
    versions.save_document(admin, document("A", "C"), 2)
    proposal.refresh_from_db()
    assert proposal.is_open


def test_a_save_that_makes_no_version_releases_the_proposals(admin: Any, proposal: PolicyProposal) -> None:
    proposals.take_proposal(draft_state(admin), proposal)
    versions.save_document(admin, draft_state(admin).document, 2)
    assert not versions.save_draft(draft_state(admin)).is_new
    proposal.refresh_from_db()
    assert (proposal.state, proposal.taken_by) == ("open", None)


def test_a_withdrawn_proposals_changes_are_reapplied_to_the_draft(operator: Any, proposal: PolicyProposal) -> None:
    drafts.change_draft(draft_state(operator), edits.add_rule(rule("C")))
    proposals.withdraw_proposal(draft_state(operator), proposal)
    assert set(names(operator)) == {"A", "B", "C"}
    proposal.refresh_from_db()
    assert proposal.state == "withdrawn"


def test_the_second_of_two_decisions_is_rejected_and_changes_nothing(
    admin: Any, owner: Any, operator: Any, proposal: PolicyProposal
) -> None:
    proposals.decline_proposal(admin, proposal, "Too wide")
    for late in (
        lambda: proposals.decline_proposal(owner, proposal, "Me too"),
        lambda: proposals.take_proposal(draft_state(owner), proposal),
        lambda: proposals.withdraw_proposal(draft_state(operator), proposal),
    ):
        with pytest.raises(ProposalDecided):
            late()
    proposal.refresh_from_db()
    assert (proposal.state, proposal.word, proposal.decided_by) == ("declined", "Too wide", admin)
    assert names(owner) == names(operator) == ["A"]


@pytest.mark.parametrize(
    "facts",
    [
        {"state": ProposalState.DECLINED},
        {"state": ProposalState.SAVED},
        {"state": "nonsense"},
        {"word": "x", "state": ProposalState.DECLINED, "version": True},
        {"state": ProposalState.OPEN},
    ],
)
def test_the_database_rejects_partial_decisions(admin: Any, proposal: PolicyProposal, facts: dict[str, Any]) -> None:
    whole = {"decided_by": admin, "decided_at": timezone.now(), **facts}
    if "version" in facts:
        whole["version"] = PolicyVersion.objects.get(number=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyProposal.objects.filter(pk=proposal.pk).update(**whole)


class TestByThePage:
    @pytest.fixture(autouse=True)
    def _people(
        self, operator: Any, admin: Any, reader: Any, client_of: Callable[[Any], Client], proposal: PolicyProposal
    ) -> None:
        self.operator, self.admin = operator, admin
        self.operator_client, self.admin_client, self.reader_client = (
            client_of(operator),
            client_of(admin),
            client_of(reader),
        )
        self.url = f"{PAGE}proposals/{proposal.pk}/"
        self.proposal = proposal

    def send(self, client: Client, user: Any, url: str, **data: Any) -> Any:
        return client.post(url, {"revision": str(draft_state(user).draft_revision), **data}, headers=HTMX)

    def test_an_operator_edits_a_draft_and_proposes_instead_of_saving(self) -> None:
        page = text(self.operator_client.get(PAGE))
        assert 'id="add-rule"' in page
        assert PAGE + "propose/" in page
        assert PAGE + "save/" not in page
        assert self.operator_client.post(PAGE + "save/").status_code == 403

    def test_an_operator_s_draft_is_proposed_by_the_command(self) -> None:
        self.send(self.operator_client, self.operator, self.url + "withdraw/")
        answer = self.send(self.operator_client, self.operator, PAGE + "propose/", comment="Again")
        assert "Your proposal is waiting for a Security Admin" in text(answer)
        assert PolicyProposal.objects.latest("id").comment == "Again"

    def test_the_admin_sees_a_notice_and_a_reader_does_not(self) -> None:
        assert "Operator</strong> proposed changes: For the build hosts" in text(self.admin_client.get(PAGE))
        assert "proposed changes" not in text(self.reader_client.get(PAGE))

    def test_the_panel_shows_the_changes_and_each_users_commands(self) -> None:
        shown = {
            who: text(who.get(self.url, headers=HTMX))
            for who in (self.operator_client, self.admin_client, self.reader_client)
        }
        assert all("Added</span> <strong>B</strong>" in each for each in shown.values())
        assert ["Copy to my draft" in each for each in shown.values()] == [False, True, False]
        assert ["Withdraw</button>" in each for each in shown.values()] == [True, False, False]

    def test_copied_on_the_page_it_is_in_the_admins_draft(self) -> None:
        answer = self.send(self.admin_client, self.admin, self.url + "take/")
        assert answer["HX-Trigger-After-Swap"] == "panel:close"
        assert "they are in your draft" in text(answer)
        assert names(self.admin) == ["A", "B"]

    def test_declining_needs_a_comment_which_the_author_sees(self) -> None:
        refused = self.send(self.admin_client, self.admin, self.url + "decline/", word="  ")
        assert refused.status_code == 422
        assert "Add a comment" in text(refused)
        self.send(self.admin_client, self.admin, self.url + "decline/", word="Too wide: name the image")
        assert "declined by Admin: Too wide: name the image" in text(self.operator_client.get(PAGE))
        assert "proposed changes" not in text(self.admin_client.get(PAGE))
        late = self.send(self.admin_client, self.admin, self.url + "take/")
        assert late.status_code == 409
        assert "already been decided or withdrawn" in text(late)

    def test_the_author_reads_which_version_it_became(self) -> None:
        self.send(self.admin_client, self.admin, self.url + "take/")
        self.send(self.admin_client, self.admin, PAGE + "save/")
        assert "Your proposal was saved as v3 by Admin" in text(self.operator_client.get(PAGE))

    def test_users_cannot_withdraw_the_proposals_of_others(self) -> None:
        assert self.send(self.admin_client, self.admin, self.url + "withdraw/").status_code == 404
        self.proposal.refresh_from_db()
        assert self.proposal.is_open

    def test_the_list_names_all_of_them_in_a_fixed_number_of_queries(self, django_assert_max_num_queries: Any) -> None:
        with django_assert_max_num_queries(3):
            page = text(self.reader_client.get(PAGE + "proposals/"))
        assert "For the build hosts" in page
        assert "Waiting" in page
        assert self.reader_client.get(PAGE + "proposals/99999999999999999999/").status_code == 404
