"""The second approver over HTTP: requests that arrive together, and rights that end between reading and accepting."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts.models import User
from accounts.roles import Role
from drift.policy.actions import drafts, proposals, versions
from drift.policy.domain import edits
from drift.policy.errors import OwnProposal, RoleEnded
from drift.policy.models import PolicyProposal, PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.unit.at_once import at_once
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queued")]

API = "/api/v1/policy/"
BLOCKING = document("A", rules=[rule("A", action="block")])


@pytest.fixture(autouse=True)
def _needed(settings: Any) -> None:
    settings.SECOND_APPROVER = "blocking"


@pytest.fixture
def second(transactional_db: None) -> User:
    return User.objects.create_user("second@example.com", "Second", Role.ADMIN, "correct-horse-battery")


@pytest.fixture
def proposal(admin: User) -> PolicyProposal:
    drafts.change_draft(draft_state(admin), edits.replace_document(BLOCKING))
    return proposals.propose_draft(draft_state(admin), "Please")[1]


def sent(client: Client, path: str, body: dict[str, Any], **headers: str) -> Any:
    return client.post(API + path, json.dumps(body), content_type="application/json", headers=headers)


def test_of_all_who_decide_at_once_one_does_and_the_author_never(
    admin: User, second: User, owner: User, proposal: PolicyProposal, api_of: Callable[..., Client]
) -> None:
    path = f"proposals/{proposal.pk}/"
    clients = [api_of(each) for each in (admin, second, owner, owner, second)]
    answers = at_once(
        lambda: sent(clients[0], path + "accept/", {"base": 1}),
        lambda: sent(clients[1], path + "accept/", {"base": 1}),
        lambda: sent(clients[2], path + "accept/", {"base": 1}),
        lambda: sent(clients[3], path + "decline/", {"word": "No"}),
        lambda: sent(clients[4], "versions/", {"base": 1, "document": BLOCKING}),
    )
    statuses = [each.status_code for each in answers]
    assert statuses[0] == 409
    # A save of what was accepted just before makes no version of its own.
    assert statuses[4] in {200, 409}
    assert sorted(statuses[1:4])[0] < 300
    assert sorted(statuses[1:4])[1:] == [409, 409]
    proposal.refresh_from_db()
    assert not proposal.is_open
    saved = PolicyVersion.objects.filter(number__gt=1)
    assert [(each.author in {second, owner}, each.proposed_by) for each in saved] == (
        [(True, admin)] if proposal.state == "saved" else []
    )


def test_while_the_author_edits_and_proposes_on_what_was_read_is_saved(
    admin: User, second: User, proposal: PolicyProposal, api_of: Callable[..., Client]
) -> None:
    worse = document("A", rules=[rule("Worse", action="block")])
    author, approver = api_of(admin), api_of(second)

    def edit() -> list[int]:
        found = []
        for _ in range(3):
            tag = f'"{draft_state(admin).draft_revision}"'
            put = author.put(API + "draft/", json.dumps(worse), "application/json", headers={"If-Match": tag})
            tag = f'"{draft_state(admin).draft_revision}"'
            again = sent(author, "proposals/", {"comment": ""}, **{"If-Match": tag})
            found += [put.status_code, again.status_code]
        return found

    _, answer = at_once(edit, lambda: sent(approver, f"proposals/{proposal.pk}/accept/", {"base": 1}))
    assert answer.status_code == 201
    assert PolicyVersion.objects.get(number=2).document == BLOCKING
    assert PolicyVersion.objects.count() == 2


@pytest.mark.parametrize("change", [{"role": Role.OPERATOR}, {"is_active": False}, {"is_scoped": True}])
def test_who_loses_the_role_while_their_acceptance_waits_accepts_nothing(
    second: User, proposal: PolicyProposal, change: dict[str, Any]
) -> None:
    def accept() -> Any:
        try:
            return proposals.accept_proposal(second, proposal, 1)
        except OwnProposal as error:
            return error

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            versions.lock_latest()
            waiting = pool.submit(lambda: at_once(accept))
            _wait_for_a_lock()
            User.objects.filter(pk=second.pk).update(**change)
        (result,) = waiting.result(30)
    assert isinstance(result, OwnProposal)
    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize("change", [{"role": Role.OPERATOR}, {"is_active": False}])
def test_who_loses_the_role_while_their_save_waits_saves_nothing(second: User, change: dict[str, Any]) -> None:
    """Also where no second person is needed."""
    harmless = document("A", rules=[rule("A", note="harmless")])
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            versions.lock_latest()
            waiting = pool.submit(
                lambda: at_once(lambda: versions.save_document(second, harmless, 1), errors=(RoleEnded,))
            )
            _wait_for_a_lock()
            User.objects.filter(pk=second.pk).update(**change)
        (result,) = waiting.result(30)
    assert isinstance(result, RoleEnded)
    assert PolicyVersion.objects.count() == 1


def _wait_for_a_lock() -> None:
    """Return once another connection waits for a lock."""
    # Not pg_stat_activity, which stays as it was first read in a transaction.
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with connection.cursor() as cursor:
        for _ in range(3_000):
            cursor.execute(waits)
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.01)")
    pytest.fail("nobody waits")


@pytest.mark.parametrize("change", [{"role": Role.READER}, {"is_active": False}])
def test_what_somebody_proposed_stays_theirs_whatever_becomes_of_them(
    admin: User, second: User, proposal: PolicyProposal, change: dict[str, Any], api_of: Callable[..., Client]
) -> None:
    """Whoever is demoted and promoted again, or returns, does not become a second person."""
    User.objects.filter(pk=admin.pk).update(**change)
    User.objects.filter(pk=admin.pk).update(role=Role.OWNER, is_active=True)
    answer = sent(api_of(admin), f"proposals/{proposal.pk}/accept/", {"base": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "own_proposal")
    assert sent(api_of(second), f"proposals/{proposal.pk}/accept/", {"base": 1}).status_code == 201


def test_a_setting_that_was_off_for_a_while_makes_no_later_acceptance_pass(
    admin: User, proposal: PolicyProposal, settings: Any, api_of: Callable[..., Client]
) -> None:
    client = api_of(admin)
    settings.SECOND_APPROVER = "none"
    settings.SECOND_APPROVER = "blocking"
    assert sent(client, f"proposals/{proposal.pk}/accept/", {"base": 1}).status_code == 409
    settings.SECOND_APPROVER_ENVIRONMENTS = [("azure", "elsewhere")]
    # The rule is for all of a provider, which has that environment too.
    assert sent(client, f"proposals/{proposal.pk}/accept/", {"base": 1}).status_code == 409
    assert PolicyVersion.objects.count() == 1
