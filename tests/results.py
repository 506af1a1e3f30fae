"""Figures of tests, and with DRIFTWATCH_RESULTS=FILE each test's outcome as a line of JSON, for `make long`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

FIGURE: Final = "figure"
REASON_LENGTH: Final = 200


class Figure(Protocol):
    """What the fixture `figure` gives."""

    def __call__(self, what: str, value: str, *, goal: str = "", kept: bool = True) -> None:
        """Report what was measured, whether or not it is as good as the goal."""


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Report what the test measured: `figure("slowest batch", "1.7 s", goal="under 2 s", kept=seconds < 2)`.

    Report before the assertion, so that a figure that misses its goal stands in the table too.
    """

    def report(what: str, value: str, *, goal: str = "", kept: bool = True) -> None:
        print(f"{what}: {value}{f' (goal: {goal})' if goal else ''}")
        record_property(FIGURE, {"what": what, "value": value, "goal": goal, "kept": kept})

    return report


class Results:
    """Appends a line for each test as it ends: a run that is killed leaves those before."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the test's call, and of its fixtures what failed or skipped it."""
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.when != "call" and report.passed:
            return
        self._write(report.nodeid, report.outcome, _reason(report), report.user_properties)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write what could not be collected, or skips all its tests."""
        if not report.passed:
            self._write(report.nodeid, report.outcome, _reason(report), [])

    def _write(self, test: str, outcome: str, reason: str, properties: list[tuple[str, Any]]) -> None:
        line = {
            "test": test,
            "outcome": outcome,
            "reason": reason,
            "seconds": self._seconds.get(test, 0.0),
            "figures": [value for name, value in properties if name == FIGURE],
        }
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the error's first line, or why the test was skipped."""
    if report.passed:
        return ""
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")[:REASON_LENGTH]
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr).strip().partition("\n")[0][:REASON_LENGTH]


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    """Write results where they are asked for; workers of xdist report to their controller."""
    if (file := os.environ.get("DRIFTWATCH_RESULTS")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results(Path(file)))
