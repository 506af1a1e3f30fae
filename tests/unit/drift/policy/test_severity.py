"""The severity of rules: kept by the portal, in diffs, merges and digests, and never sent to a sensor."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import QueryDict

from drift.fleet.actions.bundles import signed_bundle
from drift.policy.domain.approval import ApprovalRule
from drift.policy.domain.diff import diff
from drift.policy.domain.rebase import rebase
from drift.policy.forms.rule import read_rule
from drift.policy.models import PolicyVersion
from sensor.policy import default_document, describe_rule, digest, normalise
from sensor.policy.document import decisive_document
from sensor.policy.document_terms import SEVERITIES


def with_severity(severity: str, **changes: Any) -> dict[str, Any]:
    document = default_document()
    document["rules"][0] |= {"severity": severity, **changes}
    return normalise(document)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_only_another_severity_than_high_changes_the_digest(severity: str) -> None:
    assert (digest(with_severity(severity)) == digest(default_document())) is (severity == "high")


@pytest.mark.parametrize("severity", SEVERITIES)
def test_what_sensors_get_is_as_it_was_before_severities(severity: str) -> None:
    assert decisive_document(with_severity(severity)) == default_document()


@pytest.mark.parametrize(("before", "after"), [("high", "low"), ("low", "high"), ("low", "medium")])
def test_a_diff_names_both_severities(before: str, after: str) -> None:
    (change,) = diff(with_severity(before), with_severity(after))

    assert [(field.field, field.before, field.after) for field in change.fields] == [("severity", before, after)]


@pytest.mark.parametrize(
    ("base", "yours", "theirs", "merged", "clashes"),
    [
        ("high", "low", "high", "low", 0),
        ("high", "high", "low", "low", 0),
        ("low", "high", "low", "high", 0),
        ("low", "low", "high", "high", 0),
        ("high", "low", "medium", "low", 1),
        ("low", "high", "medium", "high", 1),
    ],
)
def test_severities_are_merged_like_every_field(base: str, yours: str, theirs: str, merged: str, clashes: int) -> None:
    found, reported = rebase(with_severity(base), with_severity(yours), with_severity(theirs))

    assert normalise(found) == with_severity(merged)
    assert digest(found) == digest(with_severity(merged))
    assert len(reported) == clashes


def test_a_severity_alone_blocks_nothing_and_needs_no_second_person() -> None:
    before, after = with_severity("high", action="block"), with_severity("low", action="block")

    assert not ApprovalRule("blocking").applies(before, after)
    assert ApprovalRule("all").applies(before, after)


@pytest.mark.parametrize(("typed", "kept"), [("severity=low", "low"), ("severity=high", None), ("", None)])
def test_the_panel_keeps_another_severity_than_high(typed: str, kept: str | None) -> None:
    assert read_rule(QueryDict(typed)).get("severity") == kept


def test_the_words_of_a_rule_name_its_severity_unless_it_ignores() -> None:
    assert "Its alerts have severity Low." in describe_rule(with_severity("low")["rules"][0])
    assert "severity" not in describe_rule(with_severity("low", action="ignore")["rules"][0])


@pytest.mark.services
@pytest.mark.django_db
def test_a_bundle_has_the_versions_digest_and_no_severity(queued: list[Any]) -> None:
    document = with_severity("low")
    version = PolicyVersion.objects.create(number=90, document=document, digest=digest(document))

    payload = json.loads(bytes(signed_bundle(version.number).payload))

    assert payload["digest"] == version.digest
    assert payload["document"] == default_document()
