"""Containers that are not monitored in full are listed with the reason, and with the execs that were lost there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor.container import gaps
from sensor.container.gaps import Gaps
from sensor.container.identify import Resolved
from sensor.container.overlay import Layers
from sensor.wire import MAX_GAPS, Container

READABLE = Layers((b"/usr",), b"/etc")
UNREADABLE = Layers((b"/usr",), b"/etc", is_complete=False)


def resolved(name: str, layers: Layers = READABLE, bundle: Path | None = None) -> Resolved:
    return Resolved(Container(id=name * 8, name=name), True, 40, layers, 100, bundle=bundle)


def listed(noted: Gaps) -> list[tuple[str | None, str, dict[str, int]]]:
    return [(gap.name, gap.reason, gap.lost) for gap in noted.current()]


def test_execs_of_a_container_that_could_not_be_judged_are_listed_by_cause() -> None:
    noted = Gaps()
    for cause in ("file_gone", "file_gone", "unreadable"):
        noted.lose(resolved("a"), cause)
    assert listed(noted) == [("a", "execs_lost", {"file_gone": 2, "unreadable": 1})]


def test_a_container_that_is_monitored_in_part_has_its_losses_beside_the_reason() -> None:
    noted = Gaps()
    noted.note(resolved("a", UNREADABLE))
    noted.lose(resolved("b"), "file_gone")
    noted.lose(resolved("a", UNREADABLE), "layers_unreadable")
    assert listed(noted) == [
        ("a", "layers_unreadable", {"layers_unreadable": 1}),
        ("b", "execs_lost", {"file_gone": 1}),
    ]


def test_losses_of_a_container_that_has_ended_are_listed_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Gaps()
    ended = resolved("a", bundle=tmp_path / "gone")
    noted.lose(ended, "file_gone")
    assert listed(noted) == [("a", "execs_lost", {"file_gone": 1})]
    monkeypatch.setattr(gaps, "KEPT_SECONDS", 0.0)
    assert listed(noted) == []


def test_a_container_without_losses_and_gaps_is_not_listed() -> None:
    noted = Gaps()
    noted.note(resolved("a"))
    assert listed(noted) == []


def test_the_containers_with_losses_are_bounded() -> None:
    noted = Gaps()
    for number in range(20 * MAX_GAPS):
        noted.lose(resolved(f"c{number}"), "file_gone")
    assert len(noted.current()) == 10 * MAX_GAPS
