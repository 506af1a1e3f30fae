from __future__ import annotations

from sensor.policy.bounded_cache import LONGEST_KEY, Memo


def test_what_was_kept_is_found_again() -> None:
    memo: Memo[int] = Memo(2)
    assert memo.get("a") is None
    assert memo.keep("a", 1) == 1
    assert memo.get("a") == 1


def test_a_full_memo_starts_afresh_and_never_grows_past_its_bound() -> None:
    memo: Memo[int] = Memo(3)
    for number in range(100):
        memo.keep(str(number), number)
        assert 1 <= len(memo) <= 3
    assert memo.get("99") == 99


def test_long_keys_are_not_kept() -> None:
    memo: Memo[int] = Memo(10)
    half = "x" * (LONGEST_KEY // 2 + 1)
    assert memo.keep("x" * (LONGEST_KEY + 1), 1) == 1
    assert memo.keep((half, None, (("key", half),)), 2) == 2
    assert len(memo) == 0
    memo.keep((half, None, (("key", "value"),)), 3)
    assert len(memo) == 1


def test_a_memo_of_nothing_keeps_nothing() -> None:
    memo: Memo[int] = Memo(0)
    assert memo.keep("a", 1) == 1
    assert len(memo) == 0
