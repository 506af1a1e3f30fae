"""Recordings replay as if they happened now, and resume where they stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sensor
from sensor import policy, wire
from sensor.capture import replay
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.replay import LOOP_PAUSE, Replay
from sensor.delivery.truncation import is_within_bounds

SAMPLES = Path(sensor.__file__).parent / "samples"
FAST = 1e6


def line(at: float, name: str, **more: Any) -> str:
    process = {"name": name, "path": f"/tmp/{name}"}
    return json.dumps({"at": at, "kind": "new_file", "process": process, "container": {"id": "c"}, **more})


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.jsonl"
    path.write_text("\n".join([line(2, "c"), line(0, "a"), line(1, "b", repeat=3), ""]))
    return path


def read(replay: Replay, number: int) -> list[wire.Event]:
    events: list[wire.Event] = []
    while len(events) < number:
        events += replay.read(1.0)
    return events[:number]


def names(events: list[wire.Event]) -> str:
    return "".join(event.process.name for event in events)


def test_execs_come_in_order_repeated_and_looped_as_recorded(recording: Path) -> None:
    events = read(Replay([recording], speed=FAST), 12)
    assert names(events) == "abbbcabbbcab"
    assert len({event.event_id for event in events}) == 12
    assert all(event.decision is None and event.observed_at.tzinfo and is_within_bounds(event) for event in events)


def test_a_recording_that_is_played_once_ends(recording: Path) -> None:
    replay = Replay([recording], speed=FAST, once=True)
    assert not replay.finished
    assert names(read(replay, 5)) == "abbbc"
    assert replay.finished
    assert replay.read(0.0) == []
    assert (replay.counters().execs, replay.counters().drifted) == (5, 5)


def test_nothing_is_replayed_after_detaching(recording: Path) -> None:
    replay = Replay([recording], speed=FAST)
    replay.detach()
    assert replay.read(0.0) == []


def test_no_exec_comes_before_its_time(recording: Path) -> None:
    replay = Replay([recording], speed=0.001)
    assert names(replay.read(0.0)) == "a"
    assert replay.read(0.001) == []


def test_a_loop_pauses_between_its_end_and_its_start(recording: Path) -> None:
    replay = Replay([recording])
    assert replay._offset(5) - replay._offset(4) == LOOP_PAUSE


def test_a_new_process_resumes_after_the_last_commit_with_the_same_ids(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "BATCH", 2)
    position = tmp_path / "replay.json"
    first = Replay([recording], position, speed=FAST)
    committed = first.read(1.0)
    first.commit()
    lost = first.read(1.0)
    again = Replay([recording], position, speed=FAST).read(1.0)
    assert (names(committed), names(lost), names(again)) == ("ab", "bb", "bb")
    assert [event.event_id for event in again] == [event.event_id for event in lost]


def test_a_new_process_waits_for_the_next_exec_as_the_old_one_would_have(tmp_path: Path) -> None:
    path, position = tmp_path / "recording.jsonl", tmp_path / "replay.json"
    path.write_text("\n".join([line(0, "a"), line(3_600, "b")]))
    first = Replay([path], position)
    assert names(first.read(1.0)) == "a"
    first.commit()
    assert Replay([path], position).read(0.01) == []
    assert names(Replay([path], position, speed=FAST).read(1.0)).startswith("b")


def test_another_recording_starts_at_its_beginning(recording: Path, tmp_path: Path) -> None:
    position = tmp_path / "replay.json"
    first = Replay([recording], position, speed=FAST)
    ids = {event.event_id for event in first.read(1.0)}
    first.commit()
    recording.write_text(line(0, "z"))
    second = Replay([recording], position, speed=FAST)
    events = read(second, 1)
    assert names(events) == "z"
    assert ids.isdisjoint(event.event_id for event in events)


@pytest.mark.parametrize("damaged", [b"{", b"\xff", b'{"recording": "\xff"}', b'{"more":' + b"[" * 100_000])
def test_after_a_damaged_position_a_recording_starts_at_its_beginning(
    recording: Path, tmp_path: Path, damaged: bytes
) -> None:
    (tmp_path / "replay.json").write_bytes(damaged)
    assert names(read(Replay([recording], tmp_path / "replay.json", speed=FAST), 1)) == "a"


def test_two_sensors_that_replay_the_same_recording_have_different_ids(recording: Path) -> None:
    first, second = (read(Replay([recording], speed=FAST), 1)[0] for _ in range(2))
    assert first.event_id != second.event_id


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("{}", "recording.jsonl:1: .*missing required field"),
        (line(0, "a") + "\n{", "recording.jsonl:2"),
        (line(-1, "a"), "at"),
        (line(0, "a", kind="odd"), "kind"),
        ('{"more":' + "[" * 100_000, "recording.jsonl:1: nested too deeply"),
    ],
)
def test_an_invalid_recording_is_reported_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_text(text)
    with pytest.raises(CaptureUnavailable, match=words):
        Replay([path])


def test_a_missing_recording_is_reported_by_name(tmp_path: Path) -> None:
    with pytest.raises(CaptureUnavailable, match=r"cannot read the recording .*gone.jsonl: No such file"):
        Replay([tmp_path / "gone.jsonl"])


def samples() -> list[wire.Event]:
    events = []
    for path in sorted(SAMPLES.glob("*.jsonl")):
        replay = Replay([path], speed=FAST, once=True)
        while not replay.finished:
            events += replay.read(1.0)
    return events


def test_the_samples_show_every_kind_that_is_detected_by_default() -> None:
    assert {event.kind for event in samples()} == set(policy.DEFAULT_DETECT)
    assert all(is_within_bounds(event) for event in samples())
    assert len(list(SAMPLES.glob("*.jsonl"))) == 6


def test_the_samples_exercise_the_reference_rule() -> None:
    """Images that start with Test123 or env123: dev1.exe is ignored, everything else alerts."""
    starts = [{"operator": "starts_with", "value": value} for value in ("Test123", "env123")]
    document = {
        **policy.default_document(),
        "rules": [
            {
                "id": "11111111-1111-1111-1111-111111111111",
                "name": "Rule 1",
                "action": "ignore",
                "scope_description": "Scope1",
                "cloud_scope": [{"provider": "azure"}],
                "resource_scope": [{"property": "image_name", "any_of": starts}],
                "allow_list": ["dev1.exe"],
            }
        ],
    }
    compiled = policy.compile_policy(document)
    decided = {
        (event.process.name, decision.action, decision.reason)
        for event in samples()
        if (decision := compiled.decide(wire.flatten(event, "azure", "a", "c"))).rule != "default"
    }
    assert ("dev1.exe", "ignore", "allow_list") in decided
    assert {name for name, action, _ in decided if action == "alert"} >= {"dev2.exe", "dev3.exe", "just"}
