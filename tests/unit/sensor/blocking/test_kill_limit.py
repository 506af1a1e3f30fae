"""Which kills count, when a workload is past the limit, and when a rule's blocking pauses."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sensor.blocking.kill_limit import MINUTE, PAUSE_SECONDS, KillLimit, killed_content, without_blocking
from sensor.wire import PausedRule
from tests.unit.sensor.makers import make_event

RULE: dict[str, Any] = {"id": "r1", "action": "block"}
OTHER: dict[str, Any] = {"id": "r2", "action": "block"}
DEFAULT: dict[str, Any] = {"id": "default", "action": "block"}
DOCUMENT = {"rules": [RULE, OTHER], "default": {"action": "block"}}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def limit(clock: Clock) -> KillLimit:
    """Three files of a workload, two workloads of a rule."""
    return KillLimit(3, 2, clock)


def kill(limit: KillLimit, workload: int, *contents: str, rule: dict[str, Any] = RULE) -> None:
    for content in contents:
        limit.note_kill(rule, workload, content)


def test_the_same_content_counts_once_however_often_it_is_stopped() -> None:
    counted = limit(Clock())
    for workload in range(10):
        kill(counted, workload, *["a", "b"] * 100)
    assert counted.workloads_past_limit() == frozenset()
    assert counted.paused_rules(DOCUMENT) == []


def test_a_workload_with_so_many_different_files_is_past_the_limit_for_a_minute() -> None:
    clock = Clock()
    counted = limit(clock)
    kill(counted, 7, "a", "b")
    assert counted.workloads_past_limit() == frozenset()
    kill(counted, 7, "c")
    assert counted.workloads_past_limit() == {7}
    clock.now += MINUTE
    assert counted.workloads_past_limit() == frozenset()
    kill(counted, 7, "a")  # known for long
    assert counted.workloads_past_limit() == frozenset()


def test_files_that_are_stopped_slowly_do_not_reach_the_limit() -> None:
    clock = Clock()
    counted = limit(clock)
    for number in range(20):
        kill(counted, 7, str(number))
        clock.now += MINUTE / 2
    assert counted.workloads_past_limit() == frozenset()


def test_one_workload_alone_never_pauses_a_rule() -> None:
    counted = limit(Clock())
    kill(counted, 7, *map(str, range(1_000)))
    assert counted.paused_rules(DOCUMENT) == []
    assert not counted.is_paused(RULE)


def test_a_rule_pauses_once_many_workloads_are_past_the_limit_at_once_and_no_other_rule_does() -> None:
    clock = Clock()
    counted = limit(clock)
    kill(counted, 1, "a", "b", "c")
    kill(counted, 2, "a", "b", "c", rule=OTHER)
    assert counted.paused_rules(DOCUMENT) == []
    kill(counted, 3, "a", "b", "c")
    assert counted.paused_rules(DOCUMENT) == [PausedRule("r1", 2)]
    assert (counted.is_paused(RULE), counted.is_paused(OTHER)) == (True, False)
    clock.now += PAUSE_SECONDS
    assert counted.paused_rules(DOCUMENT) == []
    assert not counted.is_paused(RULE)


def test_workloads_one_after_the_other_do_not_pause_a_rule() -> None:
    clock = Clock()
    counted = limit(clock)
    for workload in range(10):
        kill(counted, workload, "a", "b", "c")
        clock.now += MINUTE
    assert counted.paused_rules(DOCUMENT) == []


def test_a_rule_that_was_changed_or_removed_is_not_paused() -> None:
    counted = limit(Clock())
    for workload in (1, 2):
        kill(counted, workload, "a", "b", "c")
    changed = RULE | {"allow_list": ["/tmp/tool"]}
    assert counted.paused_rules({**DOCUMENT, "rules": [changed, OTHER]}) == []
    assert counted.paused_rules({**DOCUMENT, "rules": []}) == []
    assert counted.paused_rules({**DOCUMENT, "rules": [OTHER, dict(reversed(RULE.items()))]}) == [PausedRule("r1", 2)]


def test_the_default_rule_pauses_as_rules_do_and_no_rule_with_it() -> None:
    clock = Clock()
    counted = limit(clock)
    for workload in (1, 2):
        kill(counted, workload, "a", "b", "c", rule=DEFAULT)
    assert counted.paused_rules(DOCUMENT) == [PausedRule("default", 2)]
    assert (counted.is_paused(DEFAULT), counted.is_paused(RULE)) == (True, False)
    assert counted.paused_rules({**DOCUMENT, "default": {"action": "alert"}}) == []
    assert without_blocking(DOCUMENT, frozenset({"default"})) == {**DOCUMENT, "default": {"action": "alert"}}
    clock.now += PAUSE_SECONDS
    assert counted.paused_rules(DOCUMENT) == []


def test_a_paused_rule_alerts_and_keeps_its_place() -> None:
    document: dict[str, Any] = {"rules": [RULE, OTHER], "default": {"action": "alert"}}
    assert without_blocking(document, frozenset({"r1"})) == {
        "rules": [{"id": "r1", "action": "alert"}, OTHER],
        "default": {"action": "alert"},
    }
    assert document["rules"][0]["action"] == "block"


def killed(number: int, **process: Any) -> str:
    event = make_event(number, path="/tmp/x")
    for name, value in process.items():
        setattr(event.process, name, value)
    return killed_content(event)


def test_a_file_is_known_by_its_hash_or_else_by_its_path_and_size() -> None:
    known: dict[str, Any] = {"sha256": "a" * 64, "hash_status": "ok"}
    assert killed(1, **known) == killed(2, **known, path="/tmp/y")
    for status in ("too_large", "unreadable"):
        unread: dict[str, Any] = {"sha256": None, "hash_status": status, "size": 9}
        assert killed(1, **unread) == killed(2, **unread)
        assert killed(1, **unread) != killed(2, **unread | {"size": 8})
        assert killed(1, **unread) != killed(2, **unread, path="/tmp/y")


def test_content_that_was_gone_counts_each_time() -> None:
    """As of one file that is written anew before each run: by its path it would be stopped for ever below the limit."""
    gone: dict[str, Any] = {"sha256": None, "hash_status": "gone", "size": 9}
    assert killed(1, **gone) != killed(2, **gone)
    assert killed(1, **gone) == killed(1, **gone)  # read again from the ring


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.floats(0, 20)), max_size=200))
def test_a_workload_is_past_the_limit_exactly_if_three_new_contents_came_within_a_minute(
    kills: list[tuple[int, int, float]],
) -> None:
    clock = Clock()
    counted = limit(clock)
    first: dict[int, dict[int, float]] = {}
    reached: dict[int, float] = {}
    for workload, content, pause in kills:
        clock.now += pause
        known = first.setdefault(workload, {})
        if content not in known:
            known[content] = clock.now
            latest = sorted(known.values())[-3:]
            if len(latest) == 3 and clock.now - latest[0] < MINUTE:
                reached[workload] = clock.now
        kill(counted, workload, str(content))
        expected = {each for each, at in reached.items() if clock.now - at < MINUTE}
        assert counted.workloads_past_limit() == expected
