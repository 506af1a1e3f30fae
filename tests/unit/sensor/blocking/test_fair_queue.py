"""The order of the queue, compared with a simple model over any sequence of calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensor.blocking.fair_queue import FairQueue

PARTIES = st.sampled_from("abc")


def test_each_owner_is_served_in_turn_however_much_one_of_them_queues() -> None:
    turns: FairQueue[str, int] = FairQueue(100)
    for number in range(10):
        turns.put("busy", number)
    turns.put("quiet", 0)
    served = []
    for _ in range(4):
        whose, _ = turns.take()
        served.append(whose)
        turns.done(whose)
    assert served == ["busy", "quiet", "busy", "busy"]


def test_one_owner_has_one_item_in_progress_at_a_time() -> None:
    turns: FairQueue[str, int] = FairQueue(100)
    for number in range(2):
        turns.put("busy", number)
    turns.put("quiet", 7)
    assert [turns.take(), turns.take()] == [("busy", 0), ("quiet", 7)]
    assert not turns._ready
    turns.done("busy")
    assert turns.take() == ("busy", 1)


def test_an_owner_has_a_bounded_number_of_waiting_items() -> None:
    turns: FairQueue[str, int] = FairQueue(2)
    assert [turns.put("busy", number) for number in range(3)] == [True, True, False]
    assert turns.put("quiet", 0)


def test_withdrawn_items_are_not_taken() -> None:
    turns: FairQueue[str, int] = FairQueue(2)
    turns.put("one", 1)
    turns.put("two", 2)
    assert turns.withdraw("one", 1)
    assert turns.take() == ("two", 2)
    assert not turns.withdraw("two", 2)
    assert not turns._ready


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "done", "withdraw"]), PARTIES), max_size=60))
def test_nothing_is_lost_or_served_twice(course: list[tuple[str, str]]) -> None:
    turns: FairQueue[str, int] = FairQueue(5)
    waiting: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    busy: set[str] = set()
    for number, (what, whose) in enumerate(course):
        if what == "put":
            assert turns.put(whose, number) == (len(waiting[whose]) < 5)
            waiting[whose] += [number] if len(waiting[whose]) < 5 else []
        elif what == "take" and any(waiting[each] for each in "abc" if each not in busy):
            taken, piece = turns.take()
            assert taken not in busy
            assert waiting[taken].pop(0) == piece
            busy.add(taken)
        elif what == "done" and whose in busy:
            turns.done(whose)
            busy.discard(whose)
        elif what == "withdraw" and waiting[whose]:
            assert turns.withdraw(whose, waiting[whose].pop())
    assert set(turns._ready) == {each for each in "abc" if waiting[each] and each not in busy}
