"""Every text that a person types and others read refuses hidden characters, and names the character and its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import get_resolver
from rest_framework import serializers

from drift.policy.domain.edits import add_rule, checked_texts, hidden_characters
from drift.policy.errors import DocumentInvalid
from drift.web.serializers import StrictSerializer
from tests.unit.drift.policy.samples import document

HIDDEN: Final = "a\u202eb"
NAMED: Final = "Character 2 is not allowed: U+202E RIGHT-TO-LEFT OVERRIDE."
OURS: Final = ("accounts.", "drift.", "portal.")
NOT_STORED_AS_TEXT: Final = {
    # Secrets and codes, which nobody reads.
    "password", "old_password", "new_password", "new_password1", "new_password2", "again",
    "credential", "code", "token", "secret",
    # What is searched for or compared, and keys.
    "actor", "verb", "object_type", "object", "text", "after", "next", "q", "document",
}  # fmt: skip


def subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        yield from (each, *subclasses(each))


def text_fields() -> Iterator[tuple[str, Any]]:
    """Yield every text field of every form and of every serializer of input."""
    _ = get_resolver().url_patterns  # imports all views, and with them all forms
    for form in subclasses(forms.BaseForm):
        if form.__module__.startswith(OURS):
            fields = getattr(form, "base_fields", {})
            yield from (
                (f"{form.__qualname__}.{name}", field)
                for name, field in fields.items()
                if type(field) in {forms.CharField, forms.EmailField}
            )
    for serializer in subclasses(StrictSerializer):
        if serializer.__module__.startswith(OURS):
            fields = serializer().fields
            yield from (
                (f"{serializer.__qualname__}.{name}", field)
                for name, field in fields.items()
                if type(field) is serializers.CharField and not field.read_only
            )


def refuses(field: Any) -> bool:
    try:
        field.run_validators(HIDDEN)
    except (ValidationError, serializers.ValidationError):
        return True
    return False


def test_every_text_field_of_forms_and_api_refuses_hidden_characters() -> None:
    found = [(name, field) for name, field in text_fields() if name.rpartition(".")[2] not in NOT_STORED_AS_TEXT]

    assert [name for name, field in found if not refuses(field)] == []
    assert len(found) > 10


@pytest.mark.parametrize("field", ["name", "scope_description", "note"])
def test_a_document_with_a_hidden_character_in_a_text_is_rejected_by_rule_and_field(field: str) -> None:
    written = document("A", "B")
    written["rules"][1][field] = HIDDEN

    with pytest.raises(DocumentInvalid) as caught:
        checked_texts(written)

    assert [(each.index, each.field, each.message) for each in caught.value.errors] == [(1, field, NAMED)]


def test_a_document_that_has_one_already_can_still_be_edited() -> None:
    stored = document("A", "B")
    stored["rules"][0]["name"] = HIDDEN
    new = {**document("C")["rules"][0], "id": "new"}

    assert len(add_rule(new)(stored)["rules"]) == 3
    assert hidden_characters([new]) == []


@pytest.mark.services
@pytest.mark.django_db
def test_a_page_names_the_character_and_its_place(owner: Any, client_of: Callable[[Any], Client]) -> None:
    sent = {"name": HIDDEN, "value-namespace": "x", "reason": "other"}

    answer = client_of(owner).post("/alerts/suppression/rule/", sent, headers={"HX-Request": "true"})

    assert NAMED in answer.content.decode()
