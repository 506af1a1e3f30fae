"""Scoring with any event: nothing breaks it, and the attacks of the planted estate lead."""

from __future__ import annotations

import datetime as dt

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bench.ranking_estate import lines
from drift.alerts.domain.exec_signals import age_words, exec_signals
from drift.alerts.domain.priority_signals import MOST, SIGNALS, explanation, priority
from sensor import wire
from tests.unit.drift.alerts.conftest import event, now
from tests.unit.drift.alerts.test_priority_signals import written

TEXT = st.text(max_size=300)


@given(path=TEXT, argv=st.lists(TEXT, max_size=10), name=TEXT, parent=TEXT, writer=TEXT, namespace=st.none() | TEXT)
def test_no_event_breaks_scoring(
    path: str, argv: list[str], name: str, parent: str, writer: str, namespace: str | None
) -> None:
    sent = event(
        process__path=path, process__argv=argv, process__name=name[:256], container__namespace=namespace,
        process__parent={"name": parent[:256], "pid": 1, "path": path},
        process__written_by=written(writer[:256], path=path),
    )  # fmt: skip
    found = exec_signals(msgspec.convert(sent, wire.Event), "none")

    assert 0 <= priority(found) <= MOST
    assert all(name in SIGNALS and len(argument) <= 80 for name, argument in found)
    explanation(found)


def test_ages_are_in_their_largest_unit() -> None:
    assert [age_words(seconds) for seconds in (-1, 0.05, 3, 180, 7_200, 200_000)] == [
        "0 ms", "50 ms", "3 s", "3 min", "2 h", "2 d",
    ]  # fmt: skip


def test_the_attacks_of_the_planted_estate_lead() -> None:
    """Without what the estate knows; with it: `make bench ONLY=ranking`."""
    scored = []
    for line in lines():
        at = now() - dt.timedelta(minutes=line["minutes_ago"])
        sent = event(at=at, kind=line["event"]["kind"])
        sent["process"], sent["container"] = dict(line["event"]["process"]), line["event"]["container"]
        if writer := line.get("written"):
            wrote = written(writer["by"], 0, writer["path"], writer["parent"])
            sent["process"]["written_by"] = {
                **wrote,
                "at": (at - dt.timedelta(seconds=writer["seconds_before"])).isoformat(),
            }
        found = exec_signals(msgspec.convert(sent, wire.Event), line["event"]["outcome"])
        scored.append((priority(found), "attack" in line))
    scored.sort(reverse=True)
    place = [n for n, (_, is_attack) in enumerate(scored, 1) if is_attack]

    assert len(scored) == 2_020
    assert place[-1] <= 60, place
