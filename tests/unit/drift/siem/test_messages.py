"""Records as bytes: bounded, in one line, and as OCSF validates them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_ocsf_models.events.findings.detection_finding import DetectionFinding  # type: ignore[import-untyped]

from accounts.scope import WHOLE_ESTATE, EstateScope, Part
from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.triage import StatusChange
from drift.alerts.models import Alert, AlertActivity, Resolution, Status
from drift.siem.domain.messages import MAX_LINE, MAX_MESSAGE, json_line, syslog_frame
from drift.siem.domain.ocsf import detection_finding
from drift.siem.domain.sample_record import sample_record
from drift.siem.queries.records import Recipient, people_who_entered, record
from tests.unit.drift.alerts.audit_lines import audit_event
from tests.unit.drift.alerts.conftest import Estate, raw
from tests.unit.drift.alerts.test_pod_entries import entered
from tests.unit.drift.siem.conftest import drift
from tests.unit.drift.siem.receiver import frames

GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "siem.json").read_text(encoding="utf-8"))
AT = "2026-11-29T20:00:00.123456+00:00"
TEST = sample_record("5f4d8a52-0000-4000-8000-000000000001", AT, "https://portal.example.com")


def finding(activity: AlertActivity) -> tuple[dict[str, Any], DetectionFinding]:
    made = detection_finding(record(activity, Recipient(WHOLE_ESTATE)), "0.2.0+g1a2b3c4d")
    return made, DetectionFinding.model_validate(made)


@pytest.mark.services
@pytest.mark.django_db
def test_every_kind_of_change_is_a_valid_detection_finding(estate: Estate, operator: Any) -> None:
    drift(estate, "xmrig")
    alert = Alert.objects.get()
    triage.change_status(operator, {alert.pk: 1}, StatusChange(Status.IN_PROGRESS))
    triage.assign(operator, {alert.pk: 2}, operator)
    triage.change_status(operator, {alert.pk: 3}, StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE, "cleaned"))
    for kind in ("spread", "set_aside", "restored", "suppressed"):
        AlertActivity.objects.create(alert=alert, kind=kind)

    found = [finding(each) for each in AlertActivity.objects.order_by("pk")]
    steps = [(made["metadata"]["event_code"], made["type_uid"], made["status"]) for made, _ in found]
    assert steps == [
        ("opened", 200401, "New"),
        ("status", 200402, "In Progress"),
        ("assigned", 200402, "Resolved"),
        ("status", 200403, "Resolved"),
        ("spread", 200402, "Resolved"),
        ("set_aside", 200402, "Resolved"),
        ("restored", 200402, "Resolved"),
        ("suppressed", 200403, "Resolved"),
    ]
    made, parsed = found[3]
    assert (made["status_detail"], made["comment"]) == ("true_positive", "cleaned")
    assert parsed.finding_info.uid == found[0][1].finding_info.uid
    assert len({each.metadata.uid for _, each in found}) == len(found)
    assert parsed.cloud is not None
    assert (parsed.cloud.provider, parsed.cloud.account and parsed.cloud.account.uid) == ("Azure", "sub-1")
    assert made["evidences"][0]["process"]["file"]["hashes"][0]["value"] == "a" * 64
    assert parsed.resources is not None
    assert parsed.resources[0].namespace == "shop"


@pytest.mark.services
@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"process__sha256": None, "process__hash_status": "too_large"},
        {"process__parent": None, "process__ancestors": []},
        {"process__argv": ["\u202eevil", "\U0001f600" * 900, "a\nb"]},
        {"process__uid": 4_294_967_295},
        {"container__namespace": None, "container__pod_name": None, "container__pod_labels": {}},
        {"decision__action": "block", "outcome": "blocked"},
    ],
)
def test_an_odd_event_is_a_valid_detection_finding_too(estate: Estate, changes: dict[str, Any]) -> None:
    drift(estate, "odd", **changes)
    made, _ = finding(AlertActivity.objects.get(kind="opened"))
    frame = syslog_frame(made, "opened", "high", AT, "portal.example.com")
    assert frames(frame)[1] == b""
    assert b"\n" not in frame


@pytest.mark.parametrize("case", GOLDEN, ids=lambda each: each["why"])
def test_a_finding_says_who_entered_and_who_wrote_the_file(case: dict[str, Any]) -> None:
    event = {**TEST["alert"]["event"], "process": case["process"]}
    content = {**TEST, "alert": {**TEST["alert"], "event": event, "entered_by": case["entered_by"]}}
    made = detection_finding(content, "0.2.0")

    DetectionFinding.model_validate(made)
    (evidence,) = made["evidences"]
    assert {name: evidence[name] for name in ("actor", "src_endpoint") if name in evidence} == case["evidence"]
    unmapped = made["unmapped"]["driftwatch"]
    assert {name: unmapped[name] for name in ("provenance", "entered_by") if name in unmapped} == case["unmapped"]


@pytest.mark.services
@pytest.mark.django_db
def test_records_name_the_person_of_an_audit_line_in_the_scope_of_their_destination(
    estate: Estate,
    sender: Callable[..., Any],
) -> None:
    line = audit_event("sh")
    sent = entered("sh", claimed=line["auditID"])
    sent["process"]["provenance"] |= {"written_by": "/usr/bin/curl", "written_by_name": "curl"}
    ingest(estate.sensors[0], raw(sent))
    opened = AlertActivity.objects.filter(kind="opened").select_related("alert__detail")
    other = EstateScope((Part(clusters=frozenset({estate.sensors[2].cluster_id})),))

    before = people_who_entered(opened, Recipient(WHOLE_ESTATE))
    sender(line)
    after = people_who_entered(opened, Recipient(WHOLE_ESTATE))
    elsewhere = people_who_entered(opened, Recipient(other))

    (alert,) = before
    assert [each[alert].confidence for each in (before, after, elsewhere)] == ["claimed", "confirmed", "claimed"]
    found = record(opened.get(), Recipient(WHOLE_ESTATE), after[alert])["alert"]
    assert found["entered_by"]["requests"][0]["user"] == "alice@example.com"
    assert found["event"]["process"]["provenance"]["written_by"] == "/usr/bin/curl"


def test_a_test_is_a_valid_detection_finding() -> None:
    parsed = DetectionFinding.model_validate(detection_finding(TEST, "0.2.0"))
    assert parsed.severity == "Informational"


def test_a_records_time_is_in_milliseconds_of_utc() -> None:
    assert detection_finding(TEST, "0.2.0")["time"] == 1_795_982_400_123


@given(st.lists(st.text(max_size=2_000), max_size=40), st.dictionaries(st.text(max_size=300), st.text(max_size=300)))
def test_a_record_of_any_size_fits_keeps_its_id_and_stays_json(argv: list[str], labels: dict[str, str]) -> None:
    process = {**TEST["alert"]["event"]["process"], "argv": argv, "path": "/" + "x" * 4_000, "sha256": "f" * 64}
    event = {**TEST["alert"]["event"], "process": process}
    event["container"] = {**event["container"], "pod_labels": labels}
    big = {**TEST, "alert": {**TEST["alert"], "event": event}}
    for content in (big, detection_finding(big, "0.2.0")):
        frame = syslog_frame(content, "opened", "high", AT, "portal.example.com")
        (message,), rest = frames(frame)
        assert (len(message) <= MAX_MESSAGE, rest) == (True, b"")
        parsed = json.loads(message[message.index(b"{") :])
        assert (parsed.get("id") or parsed["metadata"]["uid"]) == TEST["id"]
        assert frame.isascii()
        line = json_line(content)
        assert len(line) <= MAX_LINE
        assert line.count(b"\n") == 1
        if "class_uid" in content:
            DetectionFinding.model_validate(parsed)


def test_what_was_cut_says_so_and_what_was_not_does_not() -> None:
    long = {**TEST, "comment": "x" * 100_000}
    assert json.loads(json_line(long))["truncated"] is True
    assert "truncated" not in json.loads(json_line(TEST))
    nothing_fits = {**TEST, **{f"key {number}": "x" for number in range(10_000)}}
    assert json.loads(json_line(nothing_fits)) == {"id": TEST["id"], "kind": "test", "at": AT, "truncated": True}


def test_an_alert_of_an_early_version_lacks_facts_and_is_a_valid_finding_all_the_same() -> None:
    bare = {**TEST, "alert": {**TEST["alert"], "event": {}}}
    DetectionFinding.model_validate(detection_finding(bare, "0.2.0"))
