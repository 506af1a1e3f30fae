"""Importing a document into the draft, or listing its errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from html import unescape
from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from drift.policy.actions import drafts
from drift.policy.domain import edits
from drift.policy.domain.document_files import write
from drift.policy.domain.draft_revision import DraftRevision
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.import_slot import import_slot
from sensor.policy import LIMITS, check, digest, normalise
from sensor.policy.document_errors import UnreadableError
from sensor.policy.document_text import parse_document as parse
from sensor.policy.yaml_document import MAX_EVENTS
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


BOMBS = {
    "numbers": b"a: [" + b"1," * 2_000 + b"1]",
    "objects": b"a: [" + b"{b: c}," * 1_000 + b"1]",
    "empty lists": b"a: [" + b"[]," * 1_000 + b"1]",
    "lines": b"a:\n" + b"- x\n" * 2_000,
    "keys": b"".join(b"k%d: v\n" % number for number in range(1_000)),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_yaml_is_read_no_further_than_the_largest_document_goes(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.policy.yaml_document.MAX_EVENTS", 1_000)

    with pytest.raises(UnreadableError, match="more than 1,000 values"):
        parse(data, "yaml")


def test_the_largest_valid_document_can_be_imported_as_yaml() -> None:
    values = [f"/opt/{number}" for number in range(100)]
    full = {"process_scope": [{"any_of": values}], "allow_list": [{"kind": "path", "value": each} for each in values]}

    events = sum(1 for _ in yaml.parse(write({"rules": [full] * 10}, "yaml"), Loader=yaml.CSafeLoader))

    assert events * LIMITS["rules"] / 10 < MAX_EVENTS


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\na: 2", "duplicate key"),
        ("1: a", "not a string"),
        ("? [a]\n: b", "not a string"),
        ("? {a: b}\n: c", "not a string"),
        ("null: a", "not a string"),
        ("a: 1\n---\nb: 2", "only one document"),
        ("a: !!python/object:os.system x", "tag"),
        ("a: !!set {b}", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("a: !!int x", "tag"),
        ("a: !!float 1.5", "tag"),
        ("a: &x 1\nb: *x", "anchors"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "anchors"),
        ("[" * 40 + "]" * 40, "too deeply"),
        ("{a: " * 40 + "1" + "}" * 40, "too deeply"),
        ("a: \x00", "not YAML"),
        ('a: "\\ud800"', "not YAML"),
    ],
)
def test_yaml_that_json_could_not_say_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        parse(text.encode(), "yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a:", {"a": None}),
        ("a: ~", {"a": None}),
        ("a: no", {"a": "no"}),
        ("a: True", {"a": "True"}),
        ("a: true", {"a": True}),
        ('a: "true"', {"a": "true"}),
        ("a: 007", {"a": "007"}),
        ("a: 0x10", {"a": "0x10"}),
        ("a: 1e3", {"a": "1e3"}),
        ("a: -5", {"a": -5}),
        ("a: 9999999999999999999", {"a": "9999999999999999999"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: .nan", {"a": ".nan"}),
        ("a: !!str 1", {"a": "1"}),
        ("<<: 1", {"<<": 1}),
        ("- - a\n- {b: [c]}", [["a"], {"b": ["c"]}]),
    ],
)
def test_yaml_has_only_the_types_of_json(text: str, value: object) -> None:
    assert parse(text.encode(), "yaml") == value


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

    def test_a_second_import_of_the_same_user_waits_for_the_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        statuses: list[bool | None] = []

        def parse_meanwhile(data: bytes, kind: str | None = None) -> Any:
            if not statuses:
                statuses.append(None)
                # In a thread: a connection of its own, as another request has.
                with ThreadPoolExecutor(1) as pool:
                    statuses[0] = pool.submit(self.is_slot_free).result()
            return parse(data, kind)

        monkeypatch.setattr("drift.policy.forms.upload.parse_document", parse_meanwhile)

        assert self.send(text=write(document("A"), "json")).status_code == 200
        assert statuses == [False]
        assert self.is_slot_free()

    def is_slot_free(self) -> bool:
        try:
            with import_slot(self.admin) as is_free:
                return is_free
        finally:
            if threading.current_thread() is not threading.main_thread():
                connection.close()

    def test_an_import_beside_another_of_the_same_user_is_asked_to_try_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("drift.policy.views.import_document.import_slot", lambda user: nullcontext(False))

        answer = self.send(text=write(document("A"), "json"))

        assert answer.status_code == 429
        assert "still running" in self.text(answer)

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
