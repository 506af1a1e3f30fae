"""Proposals through the API: an operator proposes, an admin decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.notify.models import Notice, NoticeDelivery, Preference
from drift.policy.actions import proposals, versions
from drift.policy.models import PolicyProposal, PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.samples import document, rule
from tests.unit.drift.policy.test_api import DRAFT, send

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PROPOSALS = "/api/v1/policy/proposals/"
As = Callable[[Any], Client]


@pytest.fixture(autouse=True)
def _sent(queued: list[Any]) -> None:
    """Nothing here reaches a broker."""


@pytest.fixture
def asking(operator: Any, api_of: As) -> Client:
    return api_of(operator)


@pytest.fixture
def deciding(admin: Any, api_of: As) -> Client:
    return api_of(admin)


def propose(client: Client, *names: str) -> Any:
    changed = send(client, "PUT", DRAFT, {"document": document(*names)}, client.get(DRAFT)["ETag"])
    return send(client, "POST", PROPOSALS, {"comment": "Please"}, changed["ETag"])


def test_a_draft_is_proposed_listed_and_read(asking: Client, reader: Any, api_of: As) -> None:
    made = propose(asking, "A")
    assert made.status_code == 201
    body = made.json()
    assert (body["author"], body["state"], body["comment"], body["base"]) == (
        "operator@example.com",
        "open",
        "Please",
        1,
    )
    assert [each["kind"] for each in body["changes"]] == ["removed", "added"]
    assert asking.get(DRAFT).json()["changes"] == []
    watching = api_of(reader)
    listed = watching.get(PROPOSALS).json()
    assert ([each["id"] for each in listed["results"]], listed["next"]) == ([body["id"]], None)
    assert "document" not in listed["results"][0]
    assert watching.get(f"{PROPOSALS}{body['id']}/").json() == body
    assert watching.get(PROPOSALS + "?state=declined").json()["results"] == []


def test_proposals_that_cannot_be_made_are_rejected(asking: Client) -> None:
    nothing = send(asking, "POST", PROPOSALS, {}, asking.get(DRAFT)["ETag"])
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_propose")
    assert send(asking, "POST", PROPOSALS, {}).status_code == 428
    propose(asking, "A")
    again = propose(asking, "B")
    assert (again.status_code, again.json()["code"]) == (409, "already_proposed")
    assert PolicyProposal.objects.count() == 1


def test_a_proposal_that_is_decided_before_the_response_is_returned_as_decided(
    asking: Client, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = proposals.propose_draft

    def decided_at_once(*given: Any) -> Any:
        state, made = real(*given)
        proposals.decline_proposal(admin, made, "No")
        return state, made

    monkeypatch.setattr("drift.policy.api.proposals.propose_draft", decided_at_once)
    answer = propose(asking, "A")

    assert (answer.status_code, answer.json()["state"], answer.json()["word"]) == (201, "declined", "No")


def test_an_accepted_proposal_is_the_next_version_on_top_of_the_latest(
    asking: Client, deciding: Client, admin: Any
) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/"
    latest = PolicyVersion.objects.get(pk=1).document
    versions.save_document(admin, {**latest, "rules": [*latest["rules"], rule("Other")]}, 1, "")
    stale = send(deciding, "POST", path + "accept/", {"base": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "newer_version")
    assert deciding.get(path).json()["state"] == "open"
    assert send(deciding, "POST", path + "accept/", {"base": 2}).json()["number"] == 3
    names = {each["name"] for each in PolicyVersion.objects.get(pk=3).document["rules"]}
    assert names == {"A", "Other"}


def test_accepting_saves_a_version_and_returns_it(asking: Client, deciding: Client) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/"
    saved = send(deciding, "POST", path + "accept/", {"base": 1, "comment": "Fine"})
    assert (saved.status_code, saved.json()["number"], saved.json()["comment"]) == (201, 2, "Fine")
    decided = deciding.get(path).json()
    assert (decided["state"], decided["version"], decided["decided_by"]) == ("saved", 2, "admin@example.com")
    assert [each["name"] for each in PolicyVersion.objects.get(pk=2).document["rules"]] == ["A"]
    again = send(deciding, "POST", path + "accept/", {"base": 2})
    assert (again.status_code, again.json()["code"]) == (409, "proposal_decided")
    assert PolicyVersion.objects.count() == 2


def test_a_proposal_that_clashes_with_what_was_saved_since_is_not_saved(
    asking: Client, deciding: Client, admin: Any
) -> None:
    versions.save_document(admin, document("A"), 1, "")
    changed = {**document("A"), "rules": [rule("A", action="alert")]}
    seen = send(asking, "PUT", DRAFT, {"document": changed}, asking.get(DRAFT)["ETag"])
    path = f"{PROPOSALS}{send(asking, 'POST', PROPOSALS, {}, seen['ETag']).json()['id']}/"
    versions.save_document(admin, {**document("A"), "rules": [rule("A", action="block")]}, 2, "")
    refused = send(deciding, "POST", path + "accept/", {"base": 3})
    assert (refused.status_code, refused.json()["code"]) == (409, "proposal_clashes")
    assert [each["name"] for each in refused.json()["clashes"]] == ["A"]
    assert (PolicyVersion.objects.count(), deciding.get(path).json()["state"]) == (3, "open")


def test_declining_needs_a_comment_which_the_author_sees(asking: Client, deciding: Client) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/"
    assert send(deciding, "POST", path + "decline/", {}).status_code == 400
    declined = send(deciding, "POST", path + "decline/", {"word": "Too wide"})
    assert (declined.status_code, declined.json()["state"], declined.json()["word"]) == (200, "declined", "Too wide")
    assert asking.get(path).json()["word"] == "Too wide"
    assert send(deciding, "POST", path + "decline/", {"word": "x"}).json()["code"] == "proposal_decided"


def test_only_its_author_can_withdraw_a_proposal(asking: Client, deciding: Client) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/"
    assert send(deciding, "POST", path + "withdraw/", None, deciding.get(DRAFT)["ETag"]).status_code == 404
    back = send(asking, "POST", path + "withdraw/", None, asking.get(DRAFT)["ETag"])
    assert (back.status_code, len(back.json()["changes"])) == (200, 2)
    assert asking.get(path).json()["state"] == "withdrawn"


def test_a_proposal_in_another_admins_draft_cannot_be_accepted(
    asking: Client, deciding: Client, owner: Any, api_of: As
) -> None:
    pk = propose(asking, "A").json()["id"]
    proposals.take_proposal(draft_state(owner), PolicyProposal.objects.select_related("base").get(pk=pk))
    refused = send(deciding, "POST", f"{PROPOSALS}{pk}/accept/", {"base": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "proposal_taken")
    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize("what", ["accept", "decline"])
def test_operators_cannot_decide_proposals(asking: Client, what: str) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/"
    assert send(asking, "POST", path + what + "/", {"base": 1, "word": "x"}).status_code == 403
    assert PolicyVersion.objects.count() == 1


def test_proposals_are_listed_by_pages(admin: Any, deciding: Client) -> None:
    for number in range(3):
        made = propose(deciding, f"R{number}").json()
        send(deciding, "POST", f"{PROPOSALS}{made['id']}/decline/", {"word": "No"})
    first = deciding.get(PROPOSALS + "?limit=2").json()
    second = deciding.get(f"{PROPOSALS}?limit=2&before={first['next']}").json()
    assert (len(first["results"]), len(second["results"]), second["next"]) == (2, 1, None)
    assert deciding.get(PROPOSALS + "?before=99999999999999999999999").status_code == 400


def test_comments_are_added_and_listed_oldest_first(asking: Client, deciding: Client, reader: Any, api_of: As) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/comments/"
    made = [send(client, "POST", path, {"text": text}) for client, text in ((asking, "Why not?"), (deciding, "Fine"))]
    assert [each.status_code for each in made] == [201, 201]
    assert set(made[0].json()) == {"id", "author", "text", "created_at"}
    listed = api_of(reader).get(path).json()
    assert [(each["author"], each["text"]) for each in listed["results"]] == [
        ("operator@example.com", "Why not?"),
        ("admin@example.com", "Fine"),
    ]
    first = api_of(reader).get(f"{path}?limit=1").json()
    assert api_of(reader).get(f"{path}?after={first['next']}").json()["results"] == listed["results"][1:]


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "   "}, {"text": "a" * 1_001}, {"text": "x", "y": 1}])
def test_a_comment_has_text_and_nothing_else(asking: Client, body: dict[str, Any]) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/comments/"
    assert send(asking, "POST", path, body).status_code == 400
    assert asking.get(path).json()["results"] == []


def test_there_is_no_discussion_of_nothing_and_readers_take_no_part(asking: Client, reader: Any, api_of: As) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/comments/"
    assert send(api_of(reader), "POST", path, {"text": "x"}).status_code == 403
    for missing in (999_999, 2**63):
        assert asking.get(f"{PROPOSALS}{missing}/comments/").status_code == 404
        assert send(asking, "POST", f"{PROPOSALS}{missing}/comments/", {"text": "x"}).status_code == 404


def test_a_comment_notifies_those_who_take_part_but_not_its_author(
    asking: Client, deciding: Client, operator: Any, admin: Any, owner: Any, reader: Any
) -> None:
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/comments/"

    def comment(client: Client, text: str) -> set[str]:
        Notice.objects.all().delete()
        assert send(client, "POST", path, {"text": text}).status_code == 201
        return {each.user.email for each in Notice.objects.all() if each.user}

    assert comment(asking, "My own") == set()
    assert comment(deciding, "Why?") == {operator.email}
    assert comment(asking, "Because") == {admin.email}
    notice = Notice.objects.get()
    assert (notice.kind, notice.text) == ("mention", "Because")
    assert notice.title == "Operator commented on the policy proposal by Operator"
    assert notice.path == f"/settings/policy/proposals/{PolicyProposal.objects.get().pk}/"
    admin.is_active = False
    admin.save()
    assert comment(asking, "Anybody?") == set()


def test_mail_follows_the_choice_for_mentions(asking: Client, deciding: Client, operator: Any, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    path = f"{PROPOSALS}{propose(asking, 'A').json()['id']}/comments/"
    send(deciding, "POST", path, {"text": "One"})
    assert not NoticeDelivery.objects.exists()
    Preference.objects.update_or_create(user=operator, defaults={"mail_mentions": True})
    send(deciding, "POST", path, {"text": "Two"})
    assert NoticeDelivery.objects.get().address == operator.email
