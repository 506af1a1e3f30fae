from __future__ import annotations

from sensor.policy.bounded_cache import MAX_KEY_CHARACTERS, BoundedCache


def test_a_stored_value_is_found_again() -> None:
    cache: BoundedCache[int] = BoundedCache(2)
    assert cache.get("a") is None
    assert cache.put("a", 1) == 1
    assert cache.get("a") == 1


def test_a_full_cache_is_emptied_and_never_exceeds_its_limit() -> None:
    cache: BoundedCache[int] = BoundedCache(3)
    for number in range(100):
        cache.put(str(number), number)
        assert 1 <= len(cache) <= 3
    assert cache.get("99") == 99


def test_long_keys_are_not_stored() -> None:
    cache: BoundedCache[int] = BoundedCache(10)
    half = "x" * (MAX_KEY_CHARACTERS // 2 + 1)
    assert cache.put("x" * (MAX_KEY_CHARACTERS + 1), 1) == 1
    assert cache.put((half, None, (("key", half),)), 2) == 2
    assert len(cache) == 0
    cache.put((half, None, (("key", "value"),)), 3)
    assert len(cache) == 1


def test_a_cache_of_size_zero_stores_nothing() -> None:
    cache: BoundedCache[int] = BoundedCache(0)
    assert cache.put("a", 1) == 1
    assert len(cache) == 0
