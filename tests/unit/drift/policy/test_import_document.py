"""Importing a document into the draft, or listing its errors."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from drift.policy.actions import drafts
from drift.policy.domain import edits
from drift.policy.domain.document_files import parse, write
from drift.policy.domain.draft_revision import DraftRevision
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from sensor.policy import check, digest, normalise
from tests.unit.drift.policy.samples import document, rule

HTMX = {"HX-Request": "true"}
IMPORT = "/settings/policy/import/"

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
VALUES = st.lists(st.fixed_dictionaries({"operator": st.just("contains"), "value": WORDS}), min_size=1, max_size=3)
RULES = st.builds(
    lambda name, words, values, listed, note: rule(
        name,
        id=name,
        scope_description=f"a{words}",
        resource_scope=[{"property": "namespace", "any_of": values}],
        allow_list=[f"/{each}" for each in listed],
        note=note,
        expires_at="2026-12-31T18:00:00Z",
    ),
    WORDS.map(lambda word: f"n{word}"),
    WORDS,
    VALUES,
    st.lists(WORDS, max_size=3),
    WORDS,
)
DOCUMENTS = st.lists(RULES, max_size=4, unique_by=lambda each: each["name"].casefold()).map(
    lambda rules: {"schema": 1, "rules": rules, "default": {"action": "alert"}}
)


@given(document=DOCUMENTS, kind=st.sampled_from(["json", "yaml"]))
def test_any_policy_survives_export_and_import_to_the_letter(document: dict[str, Any], kind: str) -> None:
    assert check(document) == []
    whole = normalise(document)
    back = parse(write(whole, kind).encode(), kind)
    assert back == whole
    assert digest(back) == digest(document)


@pytest.mark.services
@pytest.mark.django_db
class TestByThePage:
    @pytest.fixture(autouse=True)
    def _editor(self, admin: Any, client_of: Callable[[Any], Client], queued: list[Any]) -> None:
        self.admin = admin
        self.browser = client_of(admin)

    def send(self, at: DraftRevision | None = None, **data: Any) -> Any:
        return self.browser.post(
            IMPORT, {"revision": str(at or draft_state(self.admin).draft_revision), **data}, headers=HTMX
        )

    @staticmethod
    def text(response: Any) -> str:
        return unescape(response.content.decode())

    @pytest.mark.parametrize(("name", "kind"), [("policy.json", "json"), ("policy.yml", "yaml"), ("policy", "yaml")])
    def test_a_file_replaces_the_draft_and_makes_no_version(self, name: str, kind: str) -> None:
        file = SimpleUploadedFile(name, write(document("A", "B"), kind).encode())
        answer = self.send(file=file)
        assert answer["HX-Trigger-After-Swap"] == "panel:close"
        assert "Imported: 2 rules" in self.text(answer)
        assert draft_state(self.admin).document == document("A", "B")
        assert PolicyVersion.objects.count() == 1

    @pytest.mark.parametrize("kind", ["json", "yaml"])
    def test_the_format_of_pasted_text_is_detected(self, kind: str) -> None:
        assert self.send(text=write(document("A"), kind)).status_code == 200
        assert draft_state(self.admin).document == document("A")

    def test_every_error_is_listed_by_rule_and_field_and_nothing_is_imported(self) -> None:
        faulty = document("A", "B")
        faulty["rules"][0] |= {"action": "explode", "scope_description": ""}
        faulty["rules"][1] |= {"cloud_scope": [], "colour": "red"}
        answer = self.send(text=write(faulty, "json"))
        assert answer.status_code == 422
        shown = self.text(answer)
        assert "4 errors. Nothing was imported." in shown
        for fault in check(faulty):
            assert f"<td>{fault.rule}</td><td><code>{fault.field}</code></td>" in shown
        assert "explode" in shown
        assert not draft_state(self.admin).is_dirty

    @pytest.mark.parametrize(
        ("text", "why"), [("{", "not JSON"), ("a: [", "not YAML"), ("", "choose a file"), ("a: &x [*x]", "anchors")]
    )
    def test_unreadable_text_is_reported_and_kept_in_the_box(self, text: str, why: str) -> None:
        answer = self.send(text=text)
        assert answer.status_code == 422
        assert why in self.text(answer)
        assert text in self.text(answer)

    def test_an_import_over_a_changed_draft_is_rejected(self) -> None:
        seen = draft_state(self.admin).draft_revision
        drafts.change_draft(draft_state(self.admin).expect(seen), edits.add_rule(rule("Mine")))
        answer = self.send(at=seen, text=write(document("A"), "json"))
        assert answer.status_code == 409
        assert "changed elsewhere" in self.text(answer)
        assert draft_state(self.admin).document["rules"][-1]["name"] == "Mine"

    def test_without_javascript_the_panel_opens_on_the_page(self) -> None:
        assert "Import a policy" in self.text(self.browser.get(IMPORT))
        text = write(document("A"), "yaml")
        answer = self.browser.post(IMPORT, {"revision": str(draft_state(self.admin).draft_revision), "text": text})
        assert answer.status_code == 302
