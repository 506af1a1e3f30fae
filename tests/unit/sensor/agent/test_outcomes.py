"""The outcome of an exec that a rule blocks: stopped, or the reason why it was not."""

from __future__ import annotations

from typing import Any

import pytest

from sensor.agent.pipeline import Pipeline
from sensor.blocking.kill_limit import KillLimit
from sensor.judgement.events import why_not_stopped
from sensor.names.masking import Masker
from sensor.operations.state_directory import StateDirectory
from sensor.record import Flag
from tests.unit.sensor.agent.test_pipeline import Bench
from tests.unit.sensor.fake_portal import FakePortal
from tests.unit.sensor.makers import make_event


class Outcomes(Bench):
    """A bench whose sensor can block, unless `halted` gives a reason why not."""

    halted = ""

    def __init__(self, state: StateDirectory, portal: FakePortal) -> None:
        super().__init__(state, portal)
        identity = state.identity()
        assert identity is not None
        self.pipeline = Pipeline(
            identity,
            self.keeper,
            self.pipeline._aggregator,
            self.spool,
            masker=Masker(),
            why_not_blocking=lambda: self.halted,
            kill_limit=KillLimit(3, 2),
        )

    def outcome(self, **fields: Any) -> tuple[str, str]:
        event = make_event(1)
        for name, value in fields.items():
            setattr(event, name, value)
        self.pipeline.handle([event])
        self.pipeline.flush(now=True)
        (told,) = self.spooled()
        return told.outcome, told.outcome_reason


@pytest.fixture
def bench(state: StateDirectory, portal: FakePortal) -> Outcomes:
    return Outcomes(state, portal)


@pytest.mark.parametrize("reason", ["cold", "kill_limit", "timeout", "not_supported"])
def test_the_reason_from_the_capture_is_reported(bench: Outcomes, reason: str) -> None:
    bench.apply(1, "block")
    assert bench.outcome(outcome_reason=reason) == ("not_blocked", reason)


def test_without_a_blocking_rule_there_is_no_outcome(bench: Outcomes) -> None:
    bench.apply(1, "alert")
    assert bench.outcome(outcome_reason="cold") == ("none", "")


@pytest.mark.parametrize("halted", ["stopped", "environment_off", "not_supported"])
def test_a_halt_of_all_blocking_is_the_reason(bench: Outcomes, halted: str) -> None:
    bench.apply(1, "block")
    bench.halted = halted
    assert bench.outcome(outcome_reason="cold") == ("not_blocked", halted)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("script", "kind_not_named"),
        ("volume", "kind_not_named"),
        ("loader", "not_supported"),
        ("fileless", "hash_decides"),
        ("new_file", "not_held"),
    ],
)
def test_the_drift_kind_explains_why_it_ran(bench: Outcomes, kind: str, reason: str) -> None:
    bench.apply(1, "block")
    assert bench.outcome(kind=kind) == ("not_blocked", reason)


def test_an_exec_stopped_under_the_previous_policy_is_reported_as_that_one_decided(bench: Outcomes) -> None:
    bench.apply(1, "block")
    bench.outcome()
    bench.apply(2, "alert")
    stopped = make_event(2)
    stopped.outcome = "blocked"
    bench.pipeline.handle([stopped, make_event(3, path="/tmp/y")])
    first, second = bench.spooled()
    assert (first.outcome, first.decision and first.decision.policy_number) == ("blocked", 1)
    assert (second.outcome, second.decision and second.decision.policy_number) == ("none", 2)


def test_a_stopped_exec_is_reported_although_its_kind_is_no_longer_detected(bench: Outcomes) -> None:
    bench.apply(1, "block", detect=["volume"])
    assert bench.outcome(outcome="blocked") == ("blocked", "")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (Flag.ENFORCED | Flag.KILLED, ""),
        (Flag.ENFORCED | Flag.LATE, "timeout"),
        (Flag.LATE | Flag.UNKNOWN_NAMESPACE, "timeout"),
        (Flag.ENFORCED | Flag.WARM, ""),
        (Flag.ENFORCED | Flag.WARM | Flag.UNKNOWN_NAMESPACE, ""),
        (Flag.ENFORCED | Flag.UNKNOWN_NAMESPACE, "cold"),
        (0, "cold"),
        (Flag.UNSTOPPABLE, "not_supported"),
    ],
)
def test_the_kernel_s_flags_give_a_reason(flags: int, reason: str) -> None:
    assert why_not_stopped(flags) == reason


def test_execs_of_a_rule_whose_blocking_is_paused_run_and_are_reported_so(bench: Outcomes) -> None:
    bench.apply(1, "block")
    for number in range(2 * 3):
        stopped = make_event(10 + number, path=f"/tmp/{number}")
        stopped.outcome = "blocked"
        stopped.container.name = f"app{number % 2}"
        stopped.process.sha256 = f"{number:064x}"
        bench.pipeline.handle([stopped])
    bench.spooled()
    assert bench.outcome() == ("not_blocked", "kill_limit")


@pytest.mark.parametrize(("kind", "reason"), [("new_file", "not_held"), ("script", "kind_not_named")])
def test_a_default_rule_that_blocks_gives_reasons_as_rules_do(bench: Outcomes, kind: str, reason: str) -> None:
    bench.apply(1, rules=[], default={"action": "block"})
    assert bench.outcome(kind=kind) == ("not_blocked", reason)


def test_the_default_rule_s_blocking_pauses_when_it_stops_much_in_many_workloads(bench: Outcomes) -> None:
    bench.apply(1, rules=[], default={"action": "block"})
    for number in range(2 * 3):
        stopped = make_event(10 + number, path=f"/tmp/{number}")
        stopped.outcome = "blocked"
        stopped.container.name = f"app{number % 2}"
        stopped.process.sha256 = f"{number:064x}"
        bench.pipeline.handle([stopped])
    bench.spooled()
    assert bench.outcome() == ("not_blocked", "kill_limit")


def test_blocks_of_one_workload_pause_nothing(bench: Outcomes) -> None:
    bench.apply(1, "block")
    for number in range(200):
        stopped = make_event(10 + number, path=f"/tmp/{number}")
        stopped.outcome = "blocked"
        stopped.process.sha256 = f"{number:064x}"
        bench.pipeline.handle([stopped])
    bench.pipeline.flush(now=True)
    bench.spooled()
    assert bench.outcome() == ("not_blocked", "not_held")
