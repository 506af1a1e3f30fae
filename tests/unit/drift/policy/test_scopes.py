"""With a scope one reads the whole policy, edits a draft and proposes it, and saves nothing, whatever the role."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.models import ScopeEntry, User
from accounts.roles import Role
from drift.policy.actions import drafts, proposals
from drift.policy.domain import edits
from drift.policy.models import PolicyProposal, PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PAGE, API = "/settings/policy/", "/api/v1/policy/"
As = Callable[[User], Client]


@pytest.fixture(params=["operator", "admin", "owner"])
def viewer(request: pytest.FixtureRequest, queued: list[Any]) -> User:
    """A user of each role, with the scope of one namespace."""
    user: User = request.getfixturevalue(request.param)
    User.objects.filter(pk=user.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=user, namespace="shop")
    return User.objects.get(pk=user.pk)


def revision(user: User) -> str:
    return str(draft_state(user).draft_revision)


def test_the_policy_is_read_as_a_whole(viewer: User, client_of: As, api_of: As) -> None:
    for path in ("", "versions/", "proposals/", "marks/", "versions/1/export.json"):
        assert client_of(viewer).get(PAGE + path).status_code == 200, path
    assert api_of(viewer).get(API + "versions/1/").json()["document"]["rules"]


def test_a_draft_is_edited_and_proposed(viewer: User, client_of: As) -> None:
    browser = client_of(viewer)
    drafts.change_draft(draft_state(viewer), edits.replace_document(document("A")))
    page = unescape(browser.get(PAGE).content.decode())
    assert PAGE + "propose/" in page
    assert PAGE + "save/" not in page
    sent = browser.post(PAGE + "propose/", {"revision": revision(viewer), "comment": "Please"})
    assert sent.status_code == 302
    assert PolicyProposal.objects.get().author == viewer


def test_nothing_is_saved_restored_or_accepted(viewer: User, client_of: As, api_of: As) -> None:
    other = User.objects.create_user("other@example.com", "Other", Role.OPERATOR, "x")
    drafts.change_draft(draft_state(other), edits.replace_document(document("B")))
    proposal = proposals.propose_draft(draft_state(other))[1]
    drafts.change_draft(draft_state(viewer), edits.replace_document(document("A")))
    forms = (
        "save/",
        "versions/1/restore/",
        *(f"proposals/{proposal.pk}/{do}/" for do in ("accept", "take", "decline")),
    )
    for path in forms:
        sent = client_of(viewer).post(PAGE + path, {"revision": revision(viewer), "base": "1", "word": "no"})
        assert sent.status_code == 403, path
    calls = ("draft/save/", "versions/", "versions/1/restore/", f"proposals/{proposal.pk}/accept/")
    for path in calls:
        body = json.dumps({"base": 1, "document": document("A")})
        assert api_of(viewer).post(API + path, body, content_type="application/json").status_code == 403, path
    assert PolicyVersion.objects.count() == 1


def test_a_user_loses_what_they_could_save_with_the_scope_and_keeps_the_draft(admin: User, queued: list[Any]) -> None:
    drafts.change_draft(draft_state(admin), edits.replace_document(document("A")))
    User.objects.filter(pk=admin.pk).update(is_scoped=True)
    viewer = User.objects.get(pk=admin.pk)
    state = draft_state(viewer)
    assert (state.can_edit, state.can_save, state.is_dirty) == (True, False, True)
    assert PolicyVersion.objects.count() == 1
