"""Audit events become requests to enter a pod, whatever an attacker puts into them: without a database."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.alerts.domain.kubernetes_audit import (
    MAX_EVENT,
    AuditEventInvalid,
    EntryRequest,
    entry_request,
    merged_stages,
    read_events,
)
from drift.alerts.errors import BadBody, TooLarge
from drift.alerts.forms.kubernetes_audit import MAX_EVENTS, parsed_audit_events
from tests.unit.drift.alerts.audit_lines import audit_event
from tests.unit.drift.alerts.conftest import event_list


def read(event: Any) -> EntryRequest:
    found = entry_request(json.dumps(event).encode())
    assert found is not None
    return found


def test_a_request_says_who_from_where_and_what() -> None:
    found = read(audit_event("sh", "-c", "id; ls /a b", impersonatedUser={"username": "root-bot"}))
    assert (found.kind, found.namespace, found.pod, found.container) == ("exec", "shop", "cart-7d9f-abcde", "app")
    assert found.command == ("sh", "-c", "id; ls /a b")
    assert (found.user, found.acting_as, found.groups) == (
        "alice@example.com",
        "root-bot",
        ("dev", "system:authenticated"),
    )
    assert (found.agent, found.code, found.stage) == ("kubectl/v1.31.2", 101, "ResponseStarted")


def test_only_the_address_that_the_api_server_saw_counts() -> None:
    found = read(audit_event(sourceIPs=["1.1.1.1", "not an address", "::ffff:10.0.0.9", "2001:DB8::1"]))
    assert (found.address, found.claimed_addresses) == ("2001:db8::1", ("1.1.1.1", "::ffff:10.0.0.9"))


def test_secrets_of_a_command_are_masked_as_those_of_an_event() -> None:
    assert read(audit_event("mysql", "-phunter2", "--token=abc")).command == ("mysql", "-p***", "--token=***")


@pytest.mark.parametrize(
    ("uri", "command"),
    [
        ("/x/exec?command=a%00b&container=app", ("a\\x00b",)),
        ("/x/exec?command=%ff%fe", ("\\xff\\xfe",)),
        ("/x/exec?command=a+b&command=&command=%2B", ("a b", "", "+")),
        ("/x/exec?%63ommand=ls", ("ls",)),
        ("/x/exec", ()),
        ("?command=%zz&command", ("%zz", "")),
        ("/x/exec?command=" + "x" * 9_000, ("x" * 4_096,)),
    ],
)
def test_a_command_is_read_from_the_address_of_the_request(uri: str, command: tuple[str, ...]) -> None:
    assert read(audit_event(requestURI=uri)).command == command


def test_a_command_of_many_items_is_cut_as_an_argv_is() -> None:
    found = read(audit_event(requestURI="/x?" + "&".join(["command=a"] * 5_000)))
    assert (len(found.command), found.is_command_cut) == (64, True)


def test_an_ephemeral_container_is_named_by_what_adds_it() -> None:
    added = {
        "spec": {"ephemeralContainers": [{"name": "old"}, {"name": "debugger-x", "command": ["sh"], "args": ["-l"]}]}
    }
    sent = {"kind": "ephemeralcontainers", "verb": "patch", "requestObject": added, "stage": "ResponseComplete"}
    found = read(audit_event(**sent))
    assert (found.kind, found.container, found.command) == ("ephemeralcontainers", "debugger-x", ("sh", "-l"))
    assert entry_request(json.dumps(audit_event(**sent | {"verb": "get"})).encode()) is None


def named(body: Any, verb: str = "patch") -> tuple[str, ...]:
    """Return the ephemeral containers that a request with this body names."""
    sent = audit_event(kind="ephemeralcontainers", verb=verb, stage="ResponseComplete", requestObject=body)
    return read(sent).ephemeral_containers


@pytest.mark.parametrize("body", [None, [], {}, {"spec": None}, {"spec": {"ephemeralContainers": [7]}}, "x", 5, [[]]])
def test_an_ephemeral_container_without_a_name_is_kept_without_one(body: Any) -> None:
    sent = audit_event(kind="ephemeralcontainers", verb="patch", stage="ResponseComplete", requestObject=body)
    assert (read(sent).container, named(body)) == ("", ())


@pytest.mark.parametrize("order", [["new", "old"], ["old", "new"], ["a", "new", "old"]])
def test_a_pod_names_the_new_container_wherever_it_stands(order: list[str]) -> None:
    pod = {"kind": "Pod", "spec": {"ephemeralContainers": [{"name": each, "command": ["sh"]} for each in order]}}
    assert named(pod, "update") == tuple(order)


ADDED = "/spec/ephemeralContainers"


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ([{"op": "add", "path": f"{ADDED}/-", "value": {"name": "new"}}], ("new",)),
        ([{"op": "add", "path": f"{ADDED}/0", "value": {"name": "new"}}], ("new",)),
        ([{"op": "add", "path": ADDED, "value": [{"name": "new"}, {"name": "old"}]}], ("new", "old")),
        ([{"op": "replace", "path": "/spec", "value": {"ephemeralContainers": [{"name": "new"}]}}], ("new",)),
        ([{"op": "replace", "path": "", "value": {"spec": {"ephemeralContainers": [{"name": "new"}]}}}], ("new",)),
        (
            [
                {"op": "add", "path": f"{ADDED}/-", "value": {"name": "old"}},
                {"op": "replace", "path": f"{ADDED}/0/name", "value": "new"},
            ],
            ("old", "new"),
        ),
        (
            [
                {"op": "test", "path": "/spec/containers/0/name", "value": "app"},
                {"op": "add", "path": f"{ADDED}/-", "value": {"name": "new"}},
            ],
            ("new",),
        ),
        (
            [
                {"op": "add", "path": f"{ADDED}/-", "value": {"name": "old"}},
                {"op": "copy", "from": "/metadata/name", "path": f"{ADDED}/0/name"},
            ],
            (),
        ),
        (
            [
                {"op": "add", "path": f"{ADDED}/-", "value": {"name": "decoy"}},
                {"op": "add", "path": f"x{ADDED}/-", "value": {"name": "new"}},
            ],
            ("decoy", "new"),
        ),
        ([{"op": "add", "path": f"{ADDED}/0/name", "value": ["x"]}, {"op": ["add"], "path": 7}, 7], ()),
        ([{"op": "add", "path": ADDED, "value": [{"name": str(each)} for each in range(65)]}], ()),
    ],
)
def test_a_json_patch_names_what_it_adds_or_nothing(patch: Any, names: tuple[str, ...]) -> None:
    assert named(patch) == names


def test_requests_that_differ_in_a_container_alone_are_not_the_same() -> None:
    def request(*names: str) -> EntryRequest:
        body = {"spec": {"ephemeralContainers": [{"name": each} for each in names]}}
        same = {"auditID": "a", "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}
        return read(audit_event(kind="ephemeralcontainers", verb="update", stage="Panic", requestObject=body, **same))

    assert request("new", "old").digest != request("old").digest == request("old").digest


@pytest.mark.parametrize(
    "event",
    [
        audit_event(objectRef__subresource="log"),
        audit_event(objectRef__resource="secrets"),
        audit_event(objectRef=None),
        {"kind": "Event", "objectRef": {"resource": "nodes", "subresource": "exec"}, "auditID": 7},
        {},
    ],
)
def test_what_runs_nothing_in_a_pod_is_not_kept(event: Any) -> None:
    assert entry_request(json.dumps(event).encode()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"auditID": ""},
        {"auditID": "a" * 65},
        {"auditID": "a\0"},
        {"auditID": 7},
        {"stage": "Later"},
        {"requestReceivedTimestamp": "yesterday"},
        {"requestReceivedTimestamp": "0001-01-01T00:00:00+14:00"},
        {"requestReceivedTimestamp": None},
        {"user": []},
        {"user": {"username": {"$ne": ""}}},
        {"user": {"username": "a\0b"}},
        {"user": {"username": "x" * 1_025}},
        {"sourceIPs": {"0": "10.0.0.1"}},
        {"sourceIPs": [7]},
        {"requestURI": 7},
        {"objectRef__namespace": ""},
        {"objectRef__name": "x" * 254},
        {"objectRef__name": "a\0"},
        {"responseStatus": {"code": "101"}},
        {"userAgent": ["x"]},
    ],
)
def test_an_event_that_is_not_valid_is_rejected_alone(changes: dict[str, Any]) -> None:
    good = audit_event()
    found, other, invalid = parsed_audit_events(event_list(audit_event(**changes), good, {"kind": "Event"}))
    assert ([each.audit_id for each in found], other, invalid) == ([good["auditID"]], 1, 1)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"objectRef": {"resource": "pods", "subresource": "exec"}, "x": "' + b"a" * MAX_EVENT + b'"}',
        b'{"objectRef": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"objectRef": {"resource": "\xff"}}',
        b'"text"',
        b"7",
    ],
    ids=["large", "deep", "not UTF-8", "a string", "a number"],
)
def test_a_hostile_event_is_rejected(raw: bytes) -> None:
    with pytest.raises(AuditEventInvalid):
        entry_request(raw)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_value_in_any_place_is_kept_or_rejected(value: Any) -> None:
    for place in (
        "user",
        "objectRef",
        "sourceIPs",
        "requestURI",
        "impersonatedUser",
        "responseStatus",
        "requestObject",
    ):
        try:
            entry_request(json.dumps(audit_event(**{place: value})).encode())
        except AuditEventInvalid:
            continue


def test_lines_of_a_log_and_a_list_are_read_alike() -> None:
    one, two = audit_event(), audit_event("id")
    lines = f"\n{json.dumps(one)}\n\n{json.dumps(two)}\r\n".encode()
    for body in (lines, event_list(one, two), json.dumps(json.loads(event_list(one, two)), indent=2).encode()):
        found, _, _ = parsed_audit_events(body)
        assert [each.audit_id for each in found] == [one["auditID"], two["auditID"]]
    assert len(read_events(json.dumps(one).encode())) == 1
    assert read_events(b" \n") == []


def test_a_line_that_is_broken_costs_none_of_the_others() -> None:
    lines = b"\n".join([json.dumps(audit_event()).encode(), b'{"kind": "Event", "objectRef": {', b"\xff"])
    found, _, invalid = parsed_audit_events(lines)
    assert (len(found), invalid) == (1, 2)


@pytest.mark.parametrize(
    "body", [b"x", b"[]", b'{"kind": "Pod"}', b"[" * 100_000, b'{"kind": "EventList", "items": 7}']
)
def test_what_is_no_audit_event_at_all_is_rejected(body: bytes) -> None:
    with pytest.raises(BadBody):
        parsed_audit_events(body)


def test_a_batch_of_too_many_events_or_values_is_rejected_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        parsed_audit_events(event_list(*[0] * (MAX_EVENTS + 1)))
    with pytest.raises(TooLarge):
        parsed_audit_events(b'{"kind": "EventList", "items": [0' + b",0" * 1_000_001 + b"]}")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_millions_of_tiny_lines_are_rejected_before_each_becomes_an_object(
    end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drift.alerts.forms.kubernetes_audit.read_events", None)
    with pytest.raises(TooLarge):
        parsed_audit_events(b"0" + (end + b"0") * 1_000_001)


def test_the_stages_of_a_request_are_one_and_one_that_contradicts_is_not_believed() -> None:
    first = audit_event(stage="RequestReceived", responseStatus=None)
    stages = [first, {**first, "stage": "ResponseStarted", "responseStatus": {"code": 101}}]
    last = {**first, "stage": "ResponseComplete", "responseStatus": {"code": 101}}
    forged = {**first, "stage": "ResponseComplete", "user": {"username": "bob@example.com"}}

    (merged,), contradictions = merged_stages(map(read, [*stages, last, forged]))

    assert (merged.user, merged.stage, merged.code, contradictions) == ("alice@example.com", "ResponseComplete", 101, 1)
    assert merged.ended_at is not None and merged.requested_at.tzinfo is dt.UTC
