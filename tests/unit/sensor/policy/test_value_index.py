from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensor.policy.string_tables import PrefixTable, SubstringTable
from sensor.policy.value_index import ValueIndex, ValueTest
from tests.unit.sensor.policy.naive import OPERATORS

tables = st.dictionaries(st.text("ab", min_size=1, max_size=5), st.integers(1, 15), max_size=12)
texts = st.text("abc", max_size=12)
patterns = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATORS)), st.text("ab", min_size=1, max_size=4), st.integers(1, 15)),
    max_size=12,
)


def expected(operator: str, table: dict[str, int], text: str) -> int:
    found = 0
    for value, rules in table.items():
        found |= rules if OPERATORS[operator](text, value) else 0
    return found


@given(tables, texts)
def test_prefix_table_finds_every_prefix_of_a_string(table: dict[str, int], text: str) -> None:
    assert PrefixTable(table).matching(text) == expected("starts_with", table, text)


@given(tables, texts)
def test_substring_table_finds_every_substring_of_a_string(table: dict[str, int], text: str) -> None:
    assert SubstringTable(table).matching(text) == expected("contains", table, text)


@given(patterns, texts)
def test_index_finds_the_rules_of_every_matching_value(wanted: list[tuple[str, str, int]], text: str) -> None:
    found = 0
    for operator, value, rules in wanted:
        found |= rules if OPERATORS[operator](text, value) else 0
    assert ValueIndex(wanted).matching(text) == found


@given(patterns, st.lists(texts, max_size=4))
def test_index_finds_the_rules_of_every_value_that_matches_any_of_some_strings(
    wanted: list[tuple[str, str, int]], strings: list[str]
) -> None:
    index, found = ValueIndex(wanted), 0
    for string in strings:
        # With parts of a string, which need no lookup of their own.
        strings = [*strings, string[1:], string[:-1], string[1:-1]]
    for string in strings:
        found |= index.matching(string)
    assert index.matching_any(strings) == found


@given(patterns, texts)
def test_a_few_values_match_if_any_of_them_does(wanted: list[tuple[str, str, int]], text: str) -> None:
    values = [(operator, value) for operator, value, _ in wanted]
    assert ValueTest(values).holds(text) is any(OPERATORS[operator](text, value) for operator, value in values)


def test_a_large_substring_table_still_finds_everything() -> None:
    parts = {f"{number:x}-{number * 7919:x}": 1 << number % 50 for number in range(20_000)}
    table = SubstringTable(parts)
    for number in (0, 1, 77, 19_999):
        part = f"{number:x}-{number * 7919:x}"
        text = f"pod-{part}-x"
        assert table.matching(text) == expected("contains", {p: rules for p, rules in parts.items() if p in text}, text)
        assert table.matching(text) & parts[part]


def test_substrings_nested_hundreds_deep_compile() -> None:
    table = SubstringTable({"a" * depth + "b": 1 << depth for depth in range(256)})
    assert table.matching("x" + "a" * 300 + "b") == (1 << 256) - 1
    assert table.matching("aab") == 7


def test_regular_expression_characters_are_literal() -> None:
    letters = ".*+?^$()[]{}|\\- \n\t\0#&~é😀"
    table = SubstringTable({letter: 1 << place for place, letter in enumerate(letters)})
    for place, letter in enumerate(letters):
        assert table.matching(f"a{letter}b") == 1 << place
    assert table.matching("abc") == 0


def test_nested_prefixes_with_a_near_miss_between_them() -> None:
    table = PrefixTable({"a": 1, "ab": 2, "abc": 4, "abd": 8, "b": 16})
    found = {text: table.matching(text) for text in ("abcz", "abz", "abdz", "az", "bz", "c", "", "abe")}
    assert found == {"abcz": 7, "abz": 3, "abdz": 11, "az": 1, "bz": 16, "c": 0, "": 0, "abe": 3}


def test_a_pattern_that_ends_within_another_is_found() -> None:
    assert SubstringTable({"abcd": 1, "bc": 2, "c": 4}).matching("xabcx") == 6
