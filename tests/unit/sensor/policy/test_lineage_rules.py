"""Rules on the programs above a writer: older sensors, which took any program for one, match nothing by them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from drift.fleet.domain import signing
from sensor.policy import compile_policy, default_document, digest, normalise
from sensor.policy.document import decisive_document, lineage_rules, with_lineage_rules
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

Json = dict[str, Any]
EVENT = {"provider": "azure", "written_by_name": "dpkg", "written_by_parent": "apt-get"}


def looks_at(name: str, value: str, number: int = 1, **parts: Any) -> Json:
    scope = [{"property": name, "any_of": [{"operator": "equals", "value": value}]}]
    return minimal_rule(number, action="ignore", process_scope=scope, **parts)


BY_PARENT = looks_at("written_by_parent", "apt-get")
BY_WRITER = looks_at("written_by_name", "dpkg", 2)


def test_to_older_sensors_such_a_rule_is_disabled_and_others_are_not() -> None:
    document = normalise(document_of(BY_PARENT, BY_WRITER, looks_at("written_by_parent", "x", 3, enabled=False)))
    sent = decisive_document(document)
    assert [rule["enabled"] for rule in sent["rules"]] == [False, True, False]
    assert lineage_rules(document) == ["r1"]
    assert with_lineage_rules(sent, lineage_rules(document)) == document
    alone = normalise(document_of(BY_PARENT))
    assert compile_policy(alone).decide(EVENT).rule == "r1"
    assert compile_policy(decisive_document(alone)).decide(EVENT).rule == "default"


@pytest.mark.parametrize(
    ("document", "expected", "etag"),
    [
        pytest.param(
            default_document(),
            "71b797383827a00a543b2d4ca571c0285721ae0fc52a9ec2113cb4075cca28da",
            "76c27f4d1392bd036256bd5dba223b5387e5bda230094369af94f30ede1e45c2",
            id="the policy of a new portal",
        ),
        pytest.param(
            document_of(looks_at("written_by_name", "dpkg")),
            "90914892e55b1af3e10a99a730a7becadf608bfd257486c6e3287cf19a32de36",
            "8f585c0051c2be0e8a3af436d0936eab1131821502b5204a59dcd2746bc6e7c9",
            id="a rule on the writer",
        ),
        pytest.param(
            document_of(BY_PARENT), "2559ff9a7c4847b572076b218de7c7cab6634ce2ac39daf1db3525e2f58a8a27", None,
            id="a rule on its parents",
        ),
    ],
)  # fmt: skip
def test_digests_are_what_they_were_and_so_are_the_bytes_without_such_a_rule(
    document: Json, expected: str, etag: str | None
) -> None:
    whole = normalise(document)
    assert digest(whole) == expected
    sent, ids, now = decisive_document(whole), lineage_rules(whole), dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
    payload = signing.bundle_payload(3, expected, now, sent, [], blocking_stopped=False, lineage_rules=ids)
    assert (b"lineage_rules" in payload) == (etag is None)
    if etag is not None:
        assert signing.payload_etag(payload) == etag
