from __future__ import annotations

from sensor.policy.bounded_cache import MAX_KEY_CHARACTERS, BoundedCache


def test_what_was_kept_is_found_again() -> None:
    memo: BoundedCache[int] = BoundedCache(2)
    assert memo.get("a") is None
    assert memo.put("a", 1) == 1
    assert memo.get("a") == 1


def test_a_full_memo_starts_afresh_and_never_grows_past_its_bound() -> None:
    memo: BoundedCache[int] = BoundedCache(3)
    for number in range(100):
        memo.put(str(number), number)
        assert 1 <= len(memo) <= 3
    assert memo.get("99") == 99


def test_long_keys_are_not_kept() -> None:
    memo: BoundedCache[int] = BoundedCache(10)
    half = "x" * (MAX_KEY_CHARACTERS // 2 + 1)
    assert memo.put("x" * (MAX_KEY_CHARACTERS + 1), 1) == 1
    assert memo.put((half, None, (("key", half),)), 2) == 2
    assert len(memo) == 0
    memo.put((half, None, (("key", "value"),)), 3)
    assert len(memo) == 1


def test_a_memo_of_nothing_keeps_nothing() -> None:
    memo: BoundedCache[int] = BoundedCache(0)
    assert memo.put("a", 1) == 1
    assert len(memo) == 0
