"""No way to a version passes the second approver, whoever races whom."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.actions.tokens import create_token
from accounts.models import ApiToken, AuditEntry, User
from accounts.roles import Role
from accounts.tokens import TokenScope
from drift.policy.actions import drafts, proposals, versions
from drift.policy.domain import edits
from drift.policy.errors import OwnProposal, PolicyConflict, ProposalDecided
from drift.policy.models import PolicyProposal, PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.unit.at_once import at_once
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PAGE, API = "/settings/policy/", "/api/v1/policy/"
HTMX = {"HX-Request": "true"}
BLOCKING = document("A", rules=[rule("A", action="block")])


@pytest.fixture(autouse=True)
def _needed(settings: Any, queued: list[Any]) -> None:
    settings.SECOND_APPROVER = "blocking"


@pytest.fixture
def second(db: None) -> User:
    return User.objects.create_user("second@example.com", "Second", Role.ADMIN, "correct-horse-battery")


@pytest.fixture
def blocking(settings: Any, admin: User) -> PolicyVersion:
    """Version 2 blocks; version 1 does not."""
    settings.SECOND_APPROVER = "none"
    saved = versions.save_document(admin, BLOCKING, 1).version
    settings.SECOND_APPROVER = "blocking"
    return saved


@pytest.fixture
def proposal(admin: User) -> PolicyProposal:
    """The admin proposes to block."""
    drafts.change_draft(draft_state(admin), edits.replace_document(BLOCKING))
    return proposals.propose_draft(draft_state(admin), "Please")[1]


def text(response: Any) -> str:
    return unescape(response.content.decode())


def revision(user: User) -> str:
    return str(draft_state(user).draft_revision)


def sent(client: Client, path: str, body: dict[str, Any], **headers: str) -> Any:
    return client.post(API + path, json.dumps(body), content_type="application/json", headers=headers)


def put_draft(user: User, wanted: dict[str, Any] = BLOCKING) -> None:
    drafts.change_draft(draft_state(user), edits.replace_document(wanted))


def rejected(answer: Any) -> None:
    assert (answer.status_code, answer.json()["code"]) == (409, "approver_required"), answer.content
    assert "Propose it" in answer.json()["message"]


class TestEveryWayToAVersion:
    def test_the_page_s_save(self, admin: User, client_of: Callable[[User], Client]) -> None:
        put_draft(admin)
        answer = client_of(admin).post(PAGE + "save/", {"revision": revision(admin)}, headers=HTMX)
        assert answer.status_code == 409
        assert "needs a second person. Propose it" in text(answer)
        assert PAGE + "propose/" in text(answer)

    def test_an_import_and_a_save(self, admin: User, client_of: Callable[[User], Client]) -> None:
        client = client_of(admin)
        pasted = {"revision": revision(admin), "text": json.dumps(BLOCKING)}
        assert client.post(PAGE + "import/", pasted, headers=HTMX).status_code == 200
        assert client.post(PAGE + "save/", {"revision": revision(admin)}, headers=HTMX).status_code == 409

    def test_the_api_s_draft(self, admin: User, api_of: Callable[[User], Client]) -> None:
        put_draft(admin)
        rejected(sent(api_of(admin), "draft/save/", {}, **{"If-Match": f'"{revision(admin)}"'}))

    def test_an_uploaded_version_even_by_an_owner(self, owner: User, api_of: Callable[[User], Client]) -> None:
        rejected(sent(api_of(owner), "versions/", {"base": 1, "document": BLOCKING}))

    def test_a_restore_by_the_api_and_the_page(
        self,
        admin: User,
        blocking: PolicyVersion,
        api_of: Callable[[User], Client],
        client_of: Callable[[User], Client],
    ) -> None:
        rejected(sent(api_of(admin), "versions/1/restore/", {"base": 2}))
        answer = client_of(admin).post(PAGE + "versions/1/restore/", {"base": "2"}, headers=HTMX)
        assert answer.status_code == 409
        assert "Propose restoring v1" in text(answer)

    def test_a_rollback_by_the_api_and_the_page(
        self,
        admin: User,
        blocking: PolicyVersion,
        api_of: Callable[[User], Client],
        client_of: Callable[[User], Client],
    ) -> None:
        rejected(api_of(admin).post("/api/v1/rollouts/2/roll-back/"))
        answer = client_of(admin).post("/rollouts/2/roll-back/", follow=True)
        assert "needs a second person" in text(answer)

    def test_the_command_line(self, admin: User, tmp_path: Path) -> None:
        file = tmp_path / "policy.json"
        file.write_text(json.dumps(BLOCKING))
        with pytest.raises(CommandError, match="second person") as error:
            call_command("policy", "import", str(file), base=1, user=admin.email, stdout=io.StringIO())
        assert error.value.returncode == 4

    def test_a_proposal_of_one_s_own(self, admin: User, proposal: PolicyProposal, api_of: Any, client_of: Any) -> None:
        answer = sent(api_of(admin), f"proposals/{proposal.pk}/accept/", {"base": 1})
        assert (answer.status_code, answer.json()["code"]) == (409, "own_proposal")
        page = client_of(admin).post(f"{PAGE}proposals/{proposal.pk}/accept/", {"base": "1"}, headers=HTMX)
        assert page.status_code == 409
        proposal.refresh_from_db()
        assert proposal.is_open

    def test_a_copy_of_another_s_proposal(self, second: User, proposal: PolicyProposal, client_of: Any) -> None:
        """A copy may have been changed since: it is the copier's draft, which they propose."""
        proposals.take_proposal(draft_state(second), proposal)
        answer = client_of(second).post(PAGE + "save/", {"revision": revision(second)}, headers=HTMX)
        assert answer.status_code == 409

    @pytest.fixture(autouse=True)
    def _no_version_came_to_be(self, _needed: None, request: pytest.FixtureRequest) -> Any:
        yield
        expected = 2 if "blocking" in request.fixturenames else 1
        assert PolicyVersion.objects.count() == expected


def test_another_admin_accepts_and_both_are_recorded(
    admin: User, second: User, proposal: PolicyProposal, api_of: Any
) -> None:
    answer = sent(api_of(second), f"proposals/{proposal.pk}/accept/", {"base": 1, "comment": "Read it"})
    assert answer.status_code == 201
    assert (answer.json()["author"], answer.json()["proposed_by"]) == (second.email, admin.email)
    entry = AuditEntry.objects.get(object_type="policy version")
    assert (entry.actor, (entry.after or {})["proposed_by"]) == (second, admin.email)


def test_a_change_that_blocks_nothing_is_saved_alone(admin: User) -> None:
    assert versions.save_document(admin, document("A"), 1).version.proposed_by is None


def test_a_lone_author_accepts_their_own_proposal_where_no_second_person_is_needed(
    admin: User, proposal: PolicyProposal, settings: Any
) -> None:
    settings.SECOND_APPROVER = "none"
    assert proposals.accept_proposal(admin, proposal, 1).version.proposed_by is None


def test_rules_expire_without_an_approver(settings: Any, admin: User) -> None:
    settings.SECOND_APPROVER = "none"
    expiring = rule("A", action="block", expires_at="2030-01-01T00:00:00Z")
    versions.save_document(admin, document("A", rules=[expiring]), 1)
    settings.SECOND_APPROVER = "all"
    assert versions.disable_expired_rules(dt.datetime(2031, 1, 1, tzinfo=dt.UTC))


def test_a_restore_is_proposed_and_accepted_as_a_restore(
    admin: User, second: User, blocking: PolicyVersion, client_of: Any
) -> None:
    done = client_of(admin).post(PAGE + "versions/1/restore/", {"base": "2", "do": "propose"}, headers=HTMX)
    assert "Proposed" in text(done)
    proposal = PolicyProposal.objects.get()
    panel = text(client_of(second).get(f"{PAGE}proposals/{proposal.pk}/", headers=HTMX))
    assert "Accept and save" in panel
    client_of(second).post(f"{PAGE}proposals/{proposal.pk}/accept/", {"base": "2"}, headers=HTMX)
    saved = PolicyVersion.objects.latest("number")
    assert (saved.restored_from_id, saved.author, saved.proposed_by) == (1, second, admin)


def test_an_approval_of_what_was_read_falls_when_another_version_was_saved_since(
    admin: User, second: User, proposal: PolicyProposal, client_of: Any
) -> None:
    opened = text(client_of(second).get(f"{PAGE}proposals/{proposal.pk}/", headers=HTMX))
    assert 'name="base" value="1"' in opened
    versions.save_document(admin, document(*"A", rules=[rule("Other")]), 1)
    answer = client_of(second).post(f"{PAGE}proposals/{proposal.pk}/accept/", {"base": "1"}, headers=HTMX)
    assert answer.status_code == 409
    assert "v2 has been saved since you opened this" in text(answer)
    assert PolicyVersion.objects.count() == 2


def test_an_approval_falls_when_the_author_withdrew_the_proposal_and_proposed_another(
    admin: User, second: User, proposal: PolicyProposal, client_of: Any
) -> None:
    proposals.withdraw_proposal(draft_state(admin), proposal)
    put_draft(admin, document("A", rules=[rule("Worse", action="block")]))
    proposals.propose_draft(draft_state(admin))
    answer = client_of(second).post(f"{PAGE}proposals/{proposal.pk}/accept/", {"base": "1"}, headers=HTMX)
    assert answer.status_code == 409
    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize("fields", [{"document": document("X")}, {"comment": "x"}, {"base": 2}, {"restores": 1}])
def test_the_database_rejects_changes_of_what_is_proposed(
    fields: dict[str, Any], blocking: PolicyVersion, second: User
) -> None:
    put_draft(second, document("Other"))
    proposal = proposals.propose_draft(draft_state(second))[1]
    changed = {key: 1 if key == "base" else value for key, value in fields.items()}
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        PolicyProposal.objects.filter(pk=proposal.pk).update(**changed)


def test_the_page_offers_an_admin_what_the_change_needs(admin: User, second: User, client_of: Any) -> None:
    client = client_of(admin)
    put_draft(admin, document("A"))
    assert "Needs a second approver" not in text(client.get(PAGE))
    put_draft(admin)
    page = text(client.get(PAGE))
    assert "Needs a second approver" in page
    assert "Reason for the proposal" in page
    client.post(PAGE + "propose/", {"revision": revision(admin)}, headers=HTMX)
    url = f"{PAGE}proposals/{PolicyProposal.objects.get().pk}/"
    assert "Another Security Admin must accept it" in text(client.get(url, headers=HTMX))
    assert "Accept and save" not in text(client.get(url, headers=HTMX))
    assert "Accept and save" in text(client_of(second).get(url, headers=HTMX))


@pytest.mark.usefixtures("transactional_db")
def test_of_accept_and_withdraw_at_once_one_wins_and_the_other_changes_nothing(
    admin: User, second: User, proposal: PolicyProposal
) -> None:
    def withdraw() -> Any:
        return proposals.withdraw_proposal(draft_state(admin), PolicyProposal.objects.get(pk=proposal.pk))

    def accept() -> Any:
        return proposals.accept_proposal(second, PolicyProposal.objects.get(pk=proposal.pk), 1)

    results = at_once(accept, withdraw, errors=(PolicyConflict,))
    lost = [each for each in results if isinstance(each, ProposalDecided)]
    assert len(lost) == 1
    proposal.refresh_from_db()
    assert PolicyVersion.objects.count() == (2 if proposal.state == "saved" else 1)


@pytest.mark.usefixtures("transactional_db")
def test_of_two_who_accept_at_once_one_saves(second: User, owner: User, proposal: Any) -> None:
    results = at_once(
        *(lambda who=who: proposals.accept_proposal(who, proposal, 1) for who in (second, owner)),
        errors=(PolicyConflict,),
    )
    assert sum(isinstance(each, PolicyConflict) for each in results) == 1
    assert PolicyVersion.objects.count() == 2


@pytest.mark.usefixtures("transactional_db")
def test_an_accept_that_waits_for_a_save_accepts_nothing_else_than_was_read(
    admin: User, second: User, proposal: PolicyProposal
) -> None:
    """The Save holds the lock while the approver has already read the proposal on version 1."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            latest = versions.lock_latest()
            waiting = pool.submit(
                lambda: at_once(lambda: proposals.accept_proposal(second, proposal, 1), errors=(PolicyConflict,))
            )
            versions.save_next_version(admin, latest, document("A"), "", latest)
        (result,) = waiting.result(30)
    assert isinstance(result, PolicyConflict)
    assert PolicyVersion.objects.count() == 2


def test_an_author_by_token_stays_the_author(admin: User, api_of: Any, client_of: Any) -> None:
    token = api_of(admin)
    put_draft(admin)
    made = sent(token, "proposals/", {"comment": ""}, **{"If-Match": f'"{revision(admin)}"'})
    assert made.status_code == 201
    with pytest.raises(OwnProposal):
        proposals.accept_proposal(admin, PolicyProposal.objects.get(), 1)


@pytest.fixture
def robot(owner: User) -> User:
    """A service account for which the Owner made a token, revoked by now."""
    account = User(email="robot@service.invalid", name="Robot", role=Role.ADMIN, is_service=True)
    account.set_unusable_password()
    account.save()
    expires_at = timezone.now() + dt.timedelta(days=1)
    create_token(owner, "ci", expires_at, scopes=[TokenScope.POLICY], user=account)
    ApiToken.objects.update(revoked_at=timezone.now())
    return account


def test_a_service_account_accepts_nothing_that_needs_a_person(robot: User, proposal: PolicyProposal) -> None:
    with pytest.raises(OwnProposal):
        proposals.accept_proposal(robot, proposal, 1)
    assert PolicyVersion.objects.count() == 1


def test_who_made_a_token_of_a_service_account_is_the_author_of_what_it_proposed(
    robot: User, owner: User, second: User
) -> None:
    put_draft(robot)
    made = proposals.propose_draft(draft_state(robot))[1]
    with pytest.raises(OwnProposal):
        proposals.accept_proposal(owner, made, 1)
    saved = proposals.accept_proposal(second, made, 1)
    assert (saved.version.author, saved.version.proposed_by) == (second, robot)
