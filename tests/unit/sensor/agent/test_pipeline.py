"""From a captured exec to spooled events."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor import policy, wire
from sensor.agent.pipeline import CONTAINER_ALERTS_PER_MINUTE, Pipeline
from sensor.agent.policy_in_force import PolicyKeeper
from sensor.delivery import aggregation_window
from sensor.delivery.aggregation import Aggregator
from sensor.delivery.client import FetchedBundle
from sensor.delivery.spool import Spool
from sensor.judgement.events import bounded_argv
from sensor.names.escaping import safe_text
from sensor.names.masking import Masker
from sensor.operations.state_directory import StateDirectory
from tests.unit.sensor.fake_portal import FakePortal
from tests.unit.sensor.makers import copy, enrolled, make_event


class Bench:
    """A pipeline with its surroundings."""

    def __init__(self, state: StateDirectory, portal: FakePortal, spool_bytes: int = 10**8) -> None:
        identity = state.identity()
        assert identity is not None
        self.portal = portal
        self.canary = "f" * 64
        self.keeper = PolicyKeeper(state, identity.keys)
        self.spool = Spool(state.path / "spool", spool_bytes)
        self.pipeline = Pipeline(
            identity,
            self.keeper,
            Aggregator(state.path / "folds", "boot"),
            self.spool,
            masker=Masker(),
            alerts_per_minute=3,
            is_canary=lambda event: event.container.id == self.canary,
        )

    def apply(self, number: int, action: str = "alert", **document: Any) -> None:
        """Apply a policy whose only rule, on the namespace shop, has this action."""
        rule = {
            "id": "11111111-1111-1111-1111-111111111111",
            "name": "Shop",
            "action": action,
            "scope_description": "shop",
            "cloud_scope": [{"provider": "azure", "accounts": ["sub-1"]}],
            "resource_scope": [
                {"property": "namespace", "any_of": [{"operator": "equals", "value": "shop"}]},
                {"property": "cluster_name", "any_of": [{"operator": "equals", "value": "prod"}]},
            ],
            "allow_list": [],
        }
        whole = {**policy.default_document(), "rules": [rule], **document}
        status = self.keeper.consider(FetchedBundle(self.portal.publish(number, whole), self.portal.etag))
        assert status is not None
        assert status.state == "applied"

    def spooled(self) -> list[wire.Event]:
        """Remove and return all spooled events."""
        events = []
        while segment := self.spool.oldest():
            events += [wire.decode_event(line) for line in segment.lines()]
            self.spool.drop(segment)
        return events


@pytest.fixture
def bench(state: StateDirectory, portal: FakePortal) -> Bench:
    return Bench(state, portal)


def test_an_alerting_exec_is_spooled_at_once_with_its_decision(bench: Bench) -> None:
    bench.apply(12)
    bench.pipeline.handle([make_event(1)])
    (event,) = bench.spooled()
    assert event.decision == wire.EventDecision("alert", "11111111-1111-1111-1111-111111111111", "scope", 12)
    assert (event.mode, event.event_id, event.outcome) == ("exec", make_event(1).event_id, "none")


def test_ignored_execs_are_counted_in_a_summary(bench: Bench) -> None:
    bench.apply(12)
    bench.pipeline.handle([make_event(number, namespace="other") for number in range(5)])
    assert bench.spooled() == []
    bench.pipeline.flush(now=True)
    (summary,) = bench.spooled()
    assert (summary.mode, summary.count) == ("summary", 5)
    assert summary.decision == wire.EventDecision("ignore", "default", "default", 12)


def test_an_exec_that_this_sensor_cannot_block_is_reported_as_such(bench: Bench) -> None:
    bench.apply(12, "block")
    bench.pipeline.handle([make_event(1)])
    (event,) = bench.spooled()
    assert (event.outcome, event.outcome_reason) == ("not_blocked", "not_supported")


def test_an_exec_that_the_capture_blocked_stays_blocked(bench: Bench) -> None:
    bench.apply(12, "block")
    blocked = make_event(1)
    blocked.outcome = "blocked"
    bench.pipeline.handle([blocked])
    assert bench.spooled()[0].outcome == "blocked"


def test_before_the_first_policy_the_portal_decides(bench: Bench) -> None:
    bench.pipeline.handle([make_event(1)])
    assert [event.decision for event in bench.spooled()] == [None]


def test_kinds_that_the_policy_does_not_detect_are_not_reported(bench: Bench) -> None:
    interpreter = make_event(1)
    interpreter.kind = "interpreter"
    bench.pipeline.handle([interpreter])
    bench.apply(12, detect=["volume"])
    bench.pipeline.handle([make_event(2)])
    bench.pipeline.flush(now=True)
    assert bench.spooled() == []


def test_a_new_policy_decides_later_execs(bench: Bench) -> None:
    bench.apply(1, "ignore")
    bench.pipeline.handle([make_event(1)])
    bench.apply(2, "alert")
    bench.pipeline.handle([make_event(2)])
    bench.pipeline.flush(now=True)
    assert [(event.mode, event.decision and event.decision.policy_number) for event in bench.spooled()] == [
        ("exec", 2),
        ("summary", 1),
    ]


def test_beyond_a_few_a_minute_repeats_of_an_alert_are_only_counted(bench: Bench) -> None:
    bench.apply(12)
    bench.pipeline.handle([make_event(number, pid=number) for number in range(10)])
    bench.pipeline.handle([make_event(20, path="/tmp/other")])
    assert len(bench.spooled()) == 4
    bench.pipeline.flush(now=True)
    (summary,) = bench.spooled()
    assert (summary.count, summary.decision and summary.decision.action) == (7, "alert")


def test_a_container_that_keeps_running_new_files_does_not_crowd_out_another(
    state: StateDirectory, portal: FakePortal
) -> None:
    bench = Bench(state, portal)
    bench.apply(12)
    bench.pipeline.handle([make_event(number, path=f"/tmp/{number}") for number in range(5_000)])
    other = make_event(9_000, path="/tmp/miner")
    other.container.id = "d" * 64
    bench.pipeline.handle([other])
    sent = bench.spooled()
    assert len(sent) == CONTAINER_ALERTS_PER_MINUTE + 1
    assert sent[-1].process.path == "/tmp/miner"
    bench.pipeline.flush(now=True)
    assert sum(event.count for event in [*sent, *bench.spooled()]) == 5_001
    assert bench.pipeline.lost == {}


def test_repeats_are_sent_again_in_the_next_minute(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.apply(12)
    bench.pipeline.handle([make_event(number) for number in range(10)])
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    bench.pipeline.handle([make_event(11)])
    assert len(bench.spooled()) == 4


def test_unidentified_containers_raise_one_alert_an_hour_and_a_count(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unnamed(number: int) -> wire.Event:
        event = make_event(number, namespace=None)
        event.identity = "incomplete"
        return event

    bench.apply(12, "ignore")
    bench.pipeline.handle([unnamed(number) for number in range(5)])
    (event,) = bench.spooled()
    assert event.decision == wire.EventDecision("alert", None, "identity_incomplete", 12)
    bench.pipeline.flush(now=True)
    assert [summary.count for summary in bench.spooled()] == [4]
    later = time.monotonic() + 3_601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    bench.pipeline.handle([unnamed(6)])
    assert len(bench.spooled()) == 1


def test_no_secret_reaches_the_disk(bench: Bench, state: StateDirectory) -> None:
    bench.apply(12)
    bench.pipeline.handle([make_event(1, argv=["./x", "--password=hunter2"])])
    bench.pipeline.handle([make_event(2, argv=["./x", "--token", "hunter2"], path="/b") for _ in range(9)])
    entered = make_event(3, path="/c")
    entered.process.entry = wire.EntryExec(entered.observed_at, argv=["sh", "-c", "x --password=hunter2"])
    bench.pipeline.handle([entered])
    written = b"".join(path.read_bytes() for path in state.path.rglob("*") if path.is_file())
    assert b"--password=***" in written
    assert b"hunter2" not in written


def test_a_command_line_that_masks_make_too_long_is_cut_and_marked(bench: Bench) -> None:
    bench.apply(12)
    one = make_event(1, argv=["sh", "-c", "pw=a " * 818], path="/a")
    several = make_event(2, argv=["./x", *["x " + "pw=a " * 12] * 63], path="/b")
    entered = make_event(3, path="/c")
    entered.process.entry = wire.EntryExec(entered.observed_at, argv=["sh", "-c", "pw=a " * 202])
    within = make_event(4, argv=["./x", "--pw=a"], path="/d")
    bench.pipeline.handle([one, several, entered, within])
    sent = {event.process.path: event.process for event in bench.spooled()}
    for process in sent["/a"], sent["/b"]:
        assert process.argv_truncated
        assert sum(len(item) for item in process.argv) == wire.MAX_ARGV_BYTES
    entry = sent["/c"].entry
    assert entry is not None
    assert entry.argv_truncated
    assert sum(len(item) for item in entry.argv) == wire.MAX_ENTRY_BYTES
    assert (sent["/d"].argv, sent["/d"].argv_truncated) == (["./x", "--pw=***"], False)


def test_500_events_with_hostile_arguments_lose_nothing(bench: Bench) -> None:
    bench.apply(12)
    hostile = [bytes([number % 256]) * (number * 7 % 5_000) + b"\0\xff\xed\xa0\x80" for number in range(500)]
    events = []
    for number, raw in enumerate(hostile):
        items, cut = bounded_argv([b"./x", raw, raw])
        events.append(make_event(number, argv=items, argv_truncated=cut, path=safe_text(b"/" + raw)[:9_000]))
    bench.pipeline.handle(events)
    bench.pipeline.flush(now=True)
    assert sum(event.count for event in bench.spooled()) == 500
    assert bench.pipeline.lost == {}


def test_with_a_full_spool_alerts_are_lost_and_counted_but_summaries_wait(
    state: StateDirectory, portal: FakePortal
) -> None:
    bench = Bench(state, portal, spool_bytes=4_000)
    bench.apply(12)
    bench.pipeline.handle([make_event(number, path=f"/{number}") for number in range(20)])
    stored = bench.spool.waiting
    assert 0 < stored < 20
    assert bench.pipeline.lost == {"spool_full": 20 - stored}
    for number in range(100, 110):
        bench.pipeline.handle([make_event(number, namespace="other")])
        bench.pipeline.flush(now=True)
    assert len(bench.spooled()) == stored
    counted = 0
    for _ in range(10):
        bench.pipeline.flush(now=True)
        counted += sum(event.count for event in bench.spooled())
    assert counted == 10


def test_no_summary_is_built_while_the_spool_is_full(
    state: StateDirectory, portal: FakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(state, portal, spool_bytes=4_000)
    bench.apply(12)
    bench.pipeline.handle([make_event(number, path=f"/{number}") for number in range(20)])
    bench.pipeline.handle([make_event(number, namespace="other", path=f"/{number}") for number in range(100, 200)])
    bench.pipeline.flush(now=True)
    made: list[object] = []
    monkeypatch.setattr(aggregation_window, "summary_event_id", lambda *facts: made.append(facts))
    bench.pipeline.flush()
    assert made == []


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_after_a_kill_before_any_commit_every_exec_is_counted_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """After kill -9 the capture returns the last batch again, and the policy may have changed by then."""
    directory = tmp_path_factory.mktemp("state")
    portal = FakePortal()
    state = enrolled(directory, portal)
    bench, total = Bench(state, portal), 0
    received: dict[Any, int] = {}
    for version in range(1, data.draw(st.integers(2, 5))):
        bench.apply(version, data.draw(st.sampled_from(["alert", "ignore"])))
        batch = [make_event(total + i, pid=i) for i in range(data.draw(st.integers(1, 6)))]
        total += len(batch)
        bench.pipeline.handle([copy(event) for event in batch])
        if data.draw(st.booleans()):
            for event in bench.spooled():  # delivered before the kill
                received[event.event_id] = event.count
        if data.draw(st.booleans()):
            bench = Bench(state, portal)
            bench.apply(version, data.draw(st.sampled_from(["alert", "ignore"])))
            bench.pipeline.handle([copy(event) for event in batch])
    bench.pipeline.flush(now=True)
    for event in bench.spooled():
        assert received.setdefault(event.event_id, event.count) == event.count
    assert sum(received.values()) == total


def test_a_canary_is_sent_whatever_the_policy_decides(bench: Bench) -> None:
    bench.apply(3, "ignore", detect=["script"])
    ours, theirs = make_event(1), make_event(2)
    ours.container.id = bench.canary
    bench.pipeline.handle([ours, theirs])
    bench.pipeline.flush(now=True)
    (sent,) = bench.spooled()
    assert (sent.event_id, sent.canary, sent.decision) == (ours.event_id, True, None)
