"""Implication between values, compared with every string of a small world."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy.implication import Condition, Value, condition_implies, holds, image_implies, implies, make_condition
from tests.unit.sensor.policy.naive import resource_value_holds

# Values are made of a and b; z is the letter that stands in no value. Two values that go together are met apart from
# each other by one of these: a piece at the start, two within, one at the end, and z between them.
PIECES = ("", "a", "b", "aa", "ab", "ba", "bb")
TEXTS = sorted(
    {"z".join(pieces) for count in range(1, 5) for pieces in itertools.product(PIECES, repeat=count)}
    | {"".join(letters) for letters in itertools.product("ab", repeat=3)}
)
values = st.tuples(
    st.sampled_from(["equals", "starts_with", "ends_with", "contains"]), st.text("ab", min_size=1, max_size=2)
)
conditions = st.lists(values, min_size=1, max_size=3).map(make_condition)
# As in a checked document, equals has its equals sign.
label_values = values.filter(lambda value: value[0] != "equals") | st.tuples(
    st.sampled_from(["equals", "starts_with", "ends_with", "contains"]),
    st.builds("{}={}".format, st.text("ab", max_size=1), st.text("ab", max_size=1)),
)
label_conditions = st.lists(label_values, min_size=1, max_size=3).map(make_condition)

HOSTS = ("", "z.z/", "a.b/", "b:a/", "localhost/", "docker.io/library/", "a/", "a:a/", "/a:a/")
NAMES = ("a", "b", "z", "za", "az", "/a", "/az", "z/a", "a/b", "b/a", "a.b/a", "a/zb")
TAGS = ("", ":a", ":b", ":az", ":za", ":a:b")
DIGESTS = ("", "@a", "@b", "@az", "@bz", "@za", "@a@b")
IMAGES = ["".join(parts) for parts in itertools.product(HOSTS, NAMES, TAGS, DIGESTS)]
IMAGE_VALUES = (
    *("a", "b", "a/b", "/a", "b/a", "a:a", "/a:a", ":a", "a:", "a.b/a", "b:a/a", "b:a", "b/", "/", "a/b:a"),
    *("a@a", "a:a@a", "@a", "b/a:b@b", "a@", "@", "/b:a@b", "a@b", "b@a"),
    *("localhost/a", "docker.io/library/a", "docker.io/library/a:a"),
)
SOME_VALUES = [
    (operator, text)
    for operator in ("equals", "starts_with", "ends_with", "contains")
    for text in ("a", "/a", "a:a", "/a:a", "a@a", "a:a@a", "@a", "b/a:b@b")
]
image_texts = st.sampled_from(IMAGE_VALUES)
image_values = st.tuples(st.sampled_from(["equals", "starts_with", "ends_with", "contains"]), image_texts)


def all_hold(wanted: list[Condition], text: str) -> bool:
    return all(any(holds(value, text) for value in condition) for condition in wanted)


@settings(max_examples=150, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=2), conditions)
def test_implication_is_exact_for_a_property_of_one_string(wanted: list[Condition], other: Condition) -> None:
    meets = [text for text in TEXTS if all_hold(wanted, text)]
    expected = all(any(holds(value, text) for value in other) for text in meets)
    assert condition_implies("namespace", wanted, other) is expected


patterns = st.tuples(st.just("matches"), st.text("ab*?*", min_size=1, max_size=4))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(values | patterns, min_size=1, max_size=2).map(make_condition), min_size=1, max_size=2),
    values | patterns,
)
def test_implication_by_patterns_is_never_wrong(wanted: list[Condition], other: Value) -> None:
    if condition_implies("namespace", wanted, make_condition([other])):
        assert [text for text in TEXTS if all_hold(wanted, text) and not holds(other, text)] == []


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (("matches", "kube-*"), ("starts_with", "kube")),
        (("matches", "*-system"), ("ends_with", "system")),
        (("matches", "a*shop*b"), ("contains", "hop")),
        (("matches", "kube-sys*"), ("matches", "kube-*")),
        (("matches", "*?"), ("matches", "?*")),
        (("matches", "a?c"), ("matches", "a*c")),
        (("matches", "abc"), ("equals", "abc")),
        (("equals", "abc"), ("matches", "a?c")),
        (("starts_with", "kube-"), ("matches", "kube*")),
        (("ends_with", "-db"), ("matches", "*db")),
        (("contains", "shop"), ("matches", "*shop*")),
    ],
)
def test_a_pattern_implies_what_it_shows_but_is_implied_only_by_its_equal(value: Value, other: Value) -> None:
    assert implies(value, other)
    assert implies(other, value) == (other[1].strip("*") == value[1].strip("*") and value != ("matches", "kube-sys*"))


@settings(max_examples=150, deadline=None)
@given(label_conditions, label_conditions, label_conditions)
def test_implication_is_exact_for_pod_labels(first: Condition, second: Condition, other: Condition) -> None:
    # Two labels are enough to meet two conditions; each is a string with an equals sign.
    texts = ["".join(letters) for length in range(5) for letters in itertools.product("ab=z", repeat=length)]
    labels = [text for text in texts if "=" in text] + [f"z={text}" for text in texts] + [f"{text}=z" for text in texts]
    meets_other = {text for text in labels if any(holds(value, text) for value in other)}
    meets = [{text for text in labels if any(holds(value, text) for value in one)} for one in (first, second)]
    expected = any(one <= meets_other for one in meets)
    assert condition_implies("pod_labels", [first, second], other) is expected


def test_every_label_contains_an_equals_sign() -> None:
    app = make_condition([("starts_with", "app")])
    assert condition_implies("pod_labels", [app], make_condition([("contains", "=")]))
    assert not condition_implies("pod_labels", [app], make_condition([("ends_with", "=")]))


def image_holds(value: Value, image: str) -> bool:
    return resource_value_holds("image_name", {"operator": value[0], "value": value[1]}, {"image_name": image})


@settings(max_examples=100, deadline=None)
@given(image_values, image_values)
def test_implication_of_image_values_is_never_wrong(value: Value, other: Value) -> None:
    if image_implies(value, other):
        for image in IMAGES:
            assert not image_holds(value, image) or image_holds(other, image), image


def test_implication_of_image_values_misses_only_ends_and_parts_with_a_digest() -> None:
    met = {value: {image for image in IMAGES if image_holds(value, image)} for value in SOME_VALUES}
    for value, other in itertools.product(SOME_VALUES, repeat=2):
        if met[value] and met[value] <= met[other] and not image_implies(value, other):
            # Such a value does not show where the digest begins: it may contain an @ itself.
            assert value[0] in ("ends_with", "contains"), (value, other)
            assert "@" in value[1], (value, other)


EXAMPLES: list[tuple[Value, Value, bool]] = [
    (("equals", "nginx:1.25"), ("equals", "nginx"), True),
    (("equals", "ghcr.io/team/app:1"), ("starts_with", "ghcr.io/team/"), True),
    (("equals", "ghcr.io/team/app:1"), ("starts_with", "team/"), False),
    (("equals", "docker.io/library/nginx"), ("equals", "nginx"), False),
    (("equals", "nginx"), ("equals", "nginx:1.25"), False),
    (("ends_with", "/app:1"), ("ends_with", "app"), True),
    (("ends_with", "app:1"), ("ends_with", "app"), False),
    (("starts_with", "team/app"), ("contains", "am/a"), True),
    (("equals", "app@sha256:ab"), ("equals", "app"), True),
    (("equals", "app:1@sha256:ab"), ("ends_with", "app@sha256:ab"), True),
    (("starts_with", "app:1@sha256:"), ("starts_with", "app@sha"), True),
    (("starts_with", "app@sha256:ab"), ("contains", "@sha256:"), True),
    (("equals", "app"), ("contains", "@"), False),
]


def test_images_by_example() -> None:
    for value, other, expected in EXAMPLES:
        assert image_implies(value, other) is expected, (value, other)


def test_too_many_combinations_to_try_mean_no_implication() -> None:
    parts = [make_condition(("contains", f"{one}{n}") for n in range(12)) for one in "abcd"]
    never = [make_condition([("starts_with", "e")]), make_condition([("starts_with", "f")])]
    other = make_condition([("contains", "x")])
    assert condition_implies("namespace", [*never, *parts], other)
    assert not condition_implies("namespace", [*parts, *never], other)
