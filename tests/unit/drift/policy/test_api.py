"""The policy's API: versions, drafts, checks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]

VERSIONS, DRAFT = "/api/v1/policy/versions/", "/api/v1/policy/draft/"


@pytest.fixture
def program(admin: Any, api_of: Callable[[Any], Client]) -> Client:
    return api_of(admin)


def send(client: Client, method: str, path: str, body: Any = None, etag: str | None = None) -> Any:
    headers = {} if etag is None else {"If-Match": etag}
    return client.generic(method, path, json.dumps(body), "application/json", headers=headers)


def test_versions_are_listed_newest_first_by_pages(program: Client, admin: Any, queued: list[Any]) -> None:
    for number in (1, 2, 3):
        versions.save_document(admin, document(f"Rule {number}"), number, f"Comment {number}")
    first = program.get(VERSIONS + "?limit=3").json()
    assert [each["number"] for each in first["results"]] == [4, 3, 2]
    assert first["results"][0] | {"digest": "", "created_at": ""} == {
        "number": 4,
        "digest": "",
        "base": 3,
        "restored_from": None,
        "author": "admin@example.com",
        "proposed_by": None,
        "comment": "Comment 3",
        "created_at": "",
    }
    second = program.get(f"{VERSIONS}?limit=3&before={first['next']}").json()
    assert ([each["number"] for each in second["results"]], second["next"]) == ([1], None)


def test_a_version_comes_with_its_document(program: Client) -> None:
    version = program.get(VERSIONS + "1/").json()
    assert version["document"]["rules"][0]["name"] == "Alert on Kube-System namespace"
    assert version["author"] is None
    for missing in ("2/", "99999999999999/"):
        assert program.get(VERSIONS + missing).json()["code"] == "not_found"


def test_an_unknown_list_parameter_is_rejected(program: Client) -> None:
    for query, field in (("limit=0", "limit"), ("before=x", "before"), ("page=2", "page")):
        answer = program.get(f"{VERSIONS}?{query}")
        assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_a_whole_document_is_saved_over_its_base(program: Client, queued: list[Any]) -> None:
    body = {"base": 1, "document": document("A"), "comment": "By a program"}
    saved = send(program, "POST", VERSIONS, body)
    assert (saved.status_code, saved.json()["number"], saved.json()["comment"]) == (201, 2, "By a program")
    again = send(program, "POST", VERSIONS, body)
    assert (again.status_code, again.json()["number"]) == (200, 2)
    late = send(program, "POST", VERSIONS, {**body, "document": document("B")})
    assert (late.status_code, late.json()["code"]) == (409, "newer_version")
    assert [each["name"] for each in late.json()["yours"]] == ["Alert on Kube-System namespace", "B"]


def test_an_invalid_document_returns_every_error(program: Client) -> None:
    wrong = {**document("A"), "rules": [rule("A", action="explode"), {**rule("B"), "colour": "red"}]}
    refused = send(program, "POST", VERSIONS, {"base": 1, "document": wrong})
    assert (refused.status_code, refused.json()["code"], refused.json()["index"]) == (422, "policy_invalid", 0)
    faults = [(fault["rule"], fault["field"]) for fault in refused.json()["faults"]]
    assert faults == [("A", "action"), ("B", "colour")]
    checked = send(program, "POST", "/api/v1/policy/check/", {"document": wrong}).json()
    assert checked["faults"] == refused.json()["faults"]
    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize("body", [{}, {"base": 1}, {"base": 1, "document": {}, "colour": "red"}, [], "x"])
def test_a_body_of_another_shape_is_rejected(program: Client, body: Any) -> None:
    assert send(program, "POST", VERSIONS, body).status_code in {400, 422}
    assert PolicyVersion.objects.count() == 1


def test_a_draft_is_read_changed_and_saved_by_its_etag(program: Client, queued: list[Any]) -> None:
    seen = program.get(DRAFT)
    assert (seen["ETag"], seen.json()["revision"], seen.json()["changes"]) == ('"1.0"', 0, [])
    changed = send(program, "PUT", DRAFT, {"document": document("A")}, seen["ETag"])
    assert [each["kind"] for each in changed.json()["changes"]] == ["removed", "added"]
    saved = send(program, "POST", DRAFT + "save/", {"comment": "Why"}, changed["ETag"])
    assert (saved.status_code, saved.json()["number"]) == (201, 2)
    assert program.get(DRAFT).json()["changes"] == []


def test_an_unseen_draft_is_not_overwritten(program: Client) -> None:
    seen = program.get(DRAFT)["ETag"]
    for method, path in (("PUT", DRAFT), ("DELETE", DRAFT), ("POST", DRAFT + "save/")):
        answer = send(program, method, path, {"document": document("A")} if method == "PUT" else {})
        assert (answer.status_code, answer.json()["code"]) == (428, "if_match_required")
    send(program, "PUT", DRAFT, {"document": document("A")}, seen)
    for etag in (seen, '"x"', "*"):
        answer = send(program, "PUT", DRAFT, {"document": document("B")}, etag)
        assert (answer.status_code, answer.json()["code"]) == (409, "stale_draft")


def test_discarding_a_draft_brings_the_latest_version_back(program: Client) -> None:
    changed = send(program, "PUT", DRAFT, {"document": document("A")}, '"1.0"')
    discarded = send(program, "DELETE", DRAFT, {}, changed["ETag"])
    assert (discarded.status_code, discarded.json()["changes"]) == (200, [])


def test_a_reader_reads_versions_and_writes_nothing(reader: Any, api_of: Callable[[Any], Client]) -> None:
    program = api_of(reader)
    assert program.get(VERSIONS).status_code == 200
    assert send(program, "POST", VERSIONS, {"base": 1, "document": document("A")}).status_code == 403
    assert send(program, "PUT", DRAFT, {"document": document("A")}, '"1.0"').status_code == 403
    assert send(program, "POST", "/api/v1/policy/check/", {"document": {}}).status_code == 200


def test_an_operator_changes_a_draft_and_does_not_save_it(operator: Any, api_of: Callable[[Any], Client]) -> None:
    program = api_of(operator)
    changed = send(program, "PUT", DRAFT, {"document": document("A")}, '"1.0"')
    assert changed.status_code == 200
    assert send(program, "POST", DRAFT + "save/", {}, changed["ETag"]).status_code == 403
    assert PolicyVersion.objects.count() == 1
