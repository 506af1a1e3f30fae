"""The process that holds execs: what it needs before it starts."""

from __future__ import annotations

import resource

import pytest

from sensor.blocking import hold_process


@pytest.mark.parametrize(("hard", "enough"), [(1_024, False), (524_288, True), (resource.RLIM_INFINITY, True)])
def test_nothing_is_held_with_few_descriptors_because_the_kernel_would_fail_execs(
    monkeypatch: pytest.MonkeyPatch, hard: int, enough: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    assert hold_process._can_open_enough() is enough
