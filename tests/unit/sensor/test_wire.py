"""The structs on the wire, compared with the examples that the portal's tests use too."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import msgspec
import pytest

from sensor import wire
from sensor.names.decode_errors import error_field
from sensor.names.event_ids import exec_event_id, summary_event_id
from tests import golden_wire
from tests.unit.sensor.policy.flat_by_hand import flat


def examples(kind: str) -> list[Any]:
    return [
        pytest.param(golden_wire.shape(path), example, id=f"{golden_wire.shape(path)}: {example['name']}")
        for path in golden_wire.FILES
        for example in golden_wire.examples(path, kind)
    ]


def decode(shape: str, raw: bytes) -> object:
    decoders = {"Event": wire.decode_event, "ExecReport": wire.decode_exec_report}
    return decoders[shape](raw) if shape in decoders else msgspec.json.decode(raw, type=getattr(wire, shape))


def carried(sent: Any, received: Any) -> bool:
    """Return whether every known key of `sent` was decoded with its value (times as instants)."""
    if isinstance(sent, dict) and isinstance(received, dict):
        return all(carried(item, received[key]) for key, item in sent.items() if key in received)
    if isinstance(sent, list) and isinstance(received, list):
        return len(sent) == len(received) and all(map(carried, sent, received))
    if sent != received and isinstance(sent, str) and "T" in sent:
        return dt.datetime.fromisoformat(sent) == dt.datetime.fromisoformat(received)
    return bool(sent == received)


def an_event() -> wire.Event:
    first = golden_wire.examples(golden_wire.GOLDEN / "event.json", "valid")[0]["value"]
    return wire.decode_event(msgspec.json.encode(first))


def test_every_struct_on_the_wire_has_examples() -> None:
    structs = {name for name, item in vars(wire).items() if isinstance(item, type) and issubclass(item, msgspec.Struct)}
    parts = (
        "Parent ProcessProvenance Ancestor Writer Process Owner Container EventDecision ClusterInfo PublicKey Counters"
    )
    assert {golden_wire.shape(path) for path in golden_wire.FILES} == structs - {
        *parts.split(),
        "ContainerExec",
        "ExecAncestor",
        "MonitoringGap",
        "FileOrigin",
        "EntryExec",
        "PausedRule",
    }


@pytest.mark.parametrize(("shape", "example"), examples("valid"))
def test_a_valid_example_is_decoded_unchanged(shape: str, example: dict[str, Any]) -> None:
    received = msgspec.json.encode(decode(shape, msgspec.json.encode(example["value"])))
    assert carried(example["value"], msgspec.json.decode(received))
    assert msgspec.json.encode(decode(shape, received)) == received


@pytest.mark.parametrize(("shape", "example"), examples("invalid"))
def test_an_invalid_example_is_rejected_with_its_code_and_field(shape: str, example: dict[str, Any]) -> None:
    with pytest.raises((wire.WireError, msgspec.ValidationError)) as caught:
        decode(shape, msgspec.json.encode(example["value"]))
    error = caught.value
    code, field = (error.code, error.field) if isinstance(error, wire.WireError) else ("invalid", error_field(error))
    assert (code, field) == (example["code"], example["field"])


@pytest.mark.parametrize("role", ["probe", "init", "debug"])
def test_a_role_in_a_pod_is_sent_so_that_portals_that_do_not_know_it_read_an_unknown_session(role: Any) -> None:
    event = an_event()
    event.process.provenance = wire.ProcessProvenance(session=role, written_by="/bin/x")
    sent = wire.encode_event(event)
    shown = json.loads(sent)["process"]["provenance"]
    assert (shown["session"], shown["pod_role"], shown["written_by"]) == (None, role, "/bin/x")
    received = wire.decode_event(sent)
    assert received.process.provenance == event.process.provenance
    assert wire.flatten(received, "azure", "sub-1", "prod-eu")["session"] == role
    assert event.process.provenance.session == role, "encoding must not change the event"


@pytest.mark.parametrize("role", [None, "init"])
def test_names_above_a_writer_are_sent_so_that_portals_that_do_not_know_them_read_the_nearest(role: Any) -> None:
    event = an_event()
    event.process.provenance = wire.ProcessProvenance(session=role, written_by_parent="dpkg-deb/dpkg/apt-get")
    sent = wire.encode_event(event)
    shown = json.loads(sent)["process"]["provenance"]
    assert (shown["written_by_parent"], shown["written_below"]) == ("dpkg-deb", "dpkg-deb/dpkg/apt-get")
    received = wire.decode_event(sent)
    assert received.process.provenance == event.process.provenance
    assert wire.flatten(received, "azure", "sub-1", "prod-eu")["written_by_parent"] == "dpkg-deb/dpkg/apt-get"


def test_a_name_above_a_writer_counts_only_from_sensors_that_know_its_origin() -> None:
    """Older ones send the parent's name alone, whoever that is: a copy may have any name."""
    event = an_event()
    event.process.provenance = wire.ProcessProvenance(session="exec", written_by_parent="apt-get")
    sent = wire.encode_event(event)
    shown = json.loads(sent)["process"]["provenance"]
    assert (shown["written_by_parent"], shown["written_below"]) == ("apt-get", "apt-get")
    assert wire.decode_event(sent).process.provenance == event.process.provenance
    from_older = wire.decode_event(msgspec.json.encode(event)).process.provenance
    assert from_older == wire.ProcessProvenance(session="exec")


def test_times_are_written_in_utc_with_microseconds() -> None:
    event = an_event()
    event.observed_at = dt.datetime(2026, 11, 24, 8, 15, 30, 42, tzinfo=dt.UTC)
    assert b'"observed_at":"2026-11-24T08:15:30.000042Z"' in msgspec.json.encode(event)


def test_the_flat_event_takes_cloud_and_cluster_from_the_credential() -> None:
    event = an_event()
    flattened = wire.flatten(event, "azure", "sub-1", "prod-eu")
    assert flattened == flat(json.loads(msgspec.json.encode(event)), "azure", "sub-1", "prod-eu")
    assert (flattened["provider"], flattened["account"], flattened["cluster_name"]) == ("azure", "sub-1", "prod-eu")
    assert flattened["image_name"] == f"ghcr.io/team/app:1.2@{event.container.image_digest}"
    assert (flattened["pod_labels"], flattened["parent_process"]) == ({"app": "cart"}, "bash")


def test_ids_are_the_same_for_the_same_exec_and_differ_for_a_reused_pid() -> None:
    assert exec_event_id("boot", 7, 100, 200) == exec_event_id("boot", 7, 100, 200)
    assert exec_event_id("boot", 7, 101, 200) != exec_event_id("boot", 7, 100, 200)
    assert summary_event_id("boot", "key", 1, 1) != summary_event_id("boot", "key", 1, 2)
    assert isinstance(summary_event_id("boot", "key", 1, 1), uuid.UUID)


def test_an_event_that_is_nested_too_deeply_is_rejected() -> None:
    with pytest.raises(wire.WireError) as refused:
        wire.decode_event(b'{"x": ' + b"[" * 15_000 + b"]" * 15_000 + b"}")

    assert refused.value.code == "invalid"
