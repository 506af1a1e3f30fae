"""The query line: what people type is read as they mean it, or refused at the place that is wrong."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drift.alerts.domain.filter_values import VALUES, closed_span, value_error
from drift.alerts.domain.filters import ANY, LABELS, MAX_SEARCH, MAX_VALUE, MAX_VALUES, Filters
from drift.alerts.domain.query_line import MAX_LINE, QueryLineError, completion_point, parse_line, print_line
from sensor.names.visible_text import hidden_character

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXT = st.text(CHARACTERS, max_size=60)
AWKWARD = st.sampled_from(
    ["", " ", '"', "a b", "a,b", 'a"b', "status:active", "-", "-status:x", "\\", "\\n", "\n", "\u202egnp.exe", "\u3000"]
)
EXAMPLES = {
    "binary": ["1", "9" * 18],
    "incident": ["7", "none"],
    "assignee": ["me", "none", "3", "a@example.com"],
    "priority": ["urgent", "calm", "60+", "100+"],
    "hash": ["1234abcd", "f" * 64],
    "hour": ["3-14", "7-0"],
    "closed_by": ["me", "none", "a@example.com", "7", "\xf2\xa0\u3000@\U0001f413"],
    "sensor": ["6f0c7a1e-0000-4000-8000-000000000001"],
    "newer": ["2d", "15m"],
    "older": ["1w", "0h"],
    "from": ["2026-11-29", "2026-11-29T16:30"],
    "until": ["2026-02-28", "9999-12-31"],
    "day": ["2026-11-29", "0001-01-01", "9999-12-31"],
    "closed": ["2026-11", "2026-11-29", "2028-02-29", "0001-01-01", "9999-12", "9999-12-31"],
}


def values_of(name: str) -> st.SearchStrategy[str]:
    if name in VALUES:
        return st.sampled_from(VALUES[name])
    return st.sampled_from(EXAMPLES[name]) if name in EXAMPLES else TEXT | AWKWARD


@st.composite
def filters(draw: st.DrawFn) -> Filters:
    names = draw(st.lists(st.sampled_from(list(LABELS)), unique=True, max_size=5))
    values = {name: tuple(draw(st.lists(values_of(name), unique=True, min_size=1, max_size=4))) for name in names}
    if ANY in values.get("status", ()):
        values["status"] = (ANY,)
    return Filters(draw(TEXT | AWKWARD).strip(), values)


def test_the_examples_are_values() -> None:
    assert [value_error(name, value) for name, many in EXAMPLES.items() for value in many] == [None] * sum(
        map(len, EXAMPLES.values())
    )


@pytest.mark.parametrize("value", ["1231-12-82", "2026-02-29", "2026-13", "0000-01", "2026-11-29T16:30", "2026", ""])
def test_an_alert_is_not_closed_in_a_month_or_day_that_no_calendar_has(value: str) -> None:
    assert value_error("closed", value) == "a month or a day, as in 2026-11"


@pytest.mark.parametrize("value", EXAMPLES["closed"])
def test_a_month_and_a_day_end_after_they_begin(value: str) -> None:
    first, end = closed_span(value) or pytest.fail(f"{value} is a month or a day")
    assert first < end


@given(filters())
@example(Filters('he said "no"', {"path": ("/tmp/a b", 'C:\\x"', "/tmp/\u202egnp.exe", "")}))
def test_what_is_printed_is_read_as_the_same_filters(found: Filters) -> None:
    line = print_line(found)

    assert parse_line(line) == found
    assert print_line(parse_line(line)) == line
    assert hidden_character(line) is None


@given(st.text(CHARACTERS | st.sampled_from(list(' :",\\*nux')), max_size=80), st.integers(0, 90))
@example('status:"', 8)
@example("status:active,", 14)
@example('path:"\\ud800"', 3)
def test_any_line_is_read_or_refused_within_it(line: str, caret: int) -> None:
    found: Filters | QueryLineError
    try:
        found = parse_line(line)
    except QueryLineError as error:
        found = error
    if isinstance(found, Filters):
        assert parse_line(print_line(found)) == found
    else:
        assert 0 <= found.position <= len(line)
        assert str(found).endswith(f"(at character {found.position + 1})")
    point = completion_point(line, caret)
    if point:
        assert 0 <= point.start <= min(caret, len(line)) <= point.end <= max(len(line), point.start)


READ = {
    "": Filters(),
    "   ": Filters(),
    "xmrig": Filters("xmrig"),
    "xmrig  --pool": Filters("xmrig --pool"),
    '"xmrig  --pool"': Filters("xmrig  --pool"),
    "status:active": Filters("", {"status": ("active",)}),
    "STATUS:active": Filters("", {"status": ("active",)}),
    "status:active,in_progress": Filters("", {"status": ("active", "in_progress")}),
    "status:active status:in_progress status:active": Filters("", {"status": ("active", "in_progress")}),
    "status:active,any": Filters("", {"status": ("any",)}),
    "status:active writer:curl path:/tmp/* newer:2d": Filters(
        "", {"status": ("active",), "writer": ("curl",), "path": ("/tmp/*",), "newer": ("2d",)}
    ),
    "a writer:curl b": Filters("a b", {"writer": ("curl",)}),
    'path:"/tmp/a b","/x,y"': Filters("", {"path": ("/tmp/a b", "/x,y")}),
    r'path:"/tmp/\u202egnp.exe"': Filters("", {"path": ("/tmp/\u202egnp.exe",)}),
    r"path:C:\x": Filters("", {"path": (r"C:\x",)}),
    'namespace:""': Filters("", {"namespace": ("",)}),
    "image:ghcr.io/team/app:1.2": Filters("", {"image": ("ghcr.io/team/app:1.2",)}),
    "ghcr.io/team/app:1.2": Filters("ghcr.io/team/app:1.2"),
    '"nginx:1.2"': Filters("nginx:1.2"),
    "\N{IDEOGRAPHIC SPACE}a\N{IDEOGRAPHIC SPACE}b": Filters("a b"),
    "a,b": Filters("a,b"),
}
REFUSED = {
    "writr:curl": ("There is no filter “writr”. Did you mean writer?", 0),
    "x nginx:1.2": ("Put a text with a colon in quotation marks.", 2),
    "-status:active": ("A filter cannot be negated.", 0),
    "status:": ("status needs a value", 7),
    "status: active": ("status needs a value", 7),
    "status:active, x": ("status needs a value", 14),
    "writer:curl status:nonsense": ("“nonsense” is not a value of status: enter one of active", 19),
    "newer:2y": ("enter a number of m, h, d or w, as in 2d", 6),
    "from:2026-02-30": ("a date", 5),
    'path:"/tmp': ("A quotation mark is missing.", 5),
    'path:a"b': ("A quotation mark stands before and behind", 6),
    '"a"b': ("A quotation mark stands before and behind", 3),
    r'"\q"': ("A backslash begins an escape", 1),
    r'path:"\ud800"': ("not a character", 6),
    r'path:"\x00"': ("NUL", 5),
    "a\0": ("U+0000", 1),
    "a\u202eb": ("U+202E", 1),
    "writer:curl,\u200b": ("U+200B", 12),
    "a" * (MAX_SEARCH + 1): ("at most 256", 0),
    "path:" + "a" * (MAX_VALUE + 1): ("at most 1,024", 5),
    "pod:" + ",".join(map(str, range(MAX_VALUES + 1))): ("at most 200", 694),
    "a" * (MAX_LINE + 1): ("at most 4,000", MAX_LINE),
}


@pytest.mark.parametrize(("line", "expected"), READ.items())
def test_a_line_is_read(line: str, expected: Filters) -> None:
    assert parse_line(line) == expected


@pytest.mark.parametrize(("line", "expected"), REFUSED.items(), ids=[line[:30] for line in REFUSED])
def test_a_wrong_line_is_refused_at_its_place(line: str, expected: tuple[str, int]) -> None:
    with pytest.raises(QueryLineError) as raised:
        parse_line(line)

    assert expected[0] in str(raised.value)
    assert raised.value.position == expected[1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("|", (None, "", 0, 0)),
        ("wri|", (None, "wri", 0, 3)),
        ("wri|ter", (None, "wri", 0, 6)),
        ("a b|", (None, "b", 2, 3)),
        ("a |", (None, "", 2, 2)),
        ("status:|", ("status", "", 7, 7)),
        ("status:ac|", ("status", "ac", 7, 9)),
        ("status:active,in|", ("status", "in", 14, 16)),
        ("status:ac|tive,in", ("status", "ac", 7, 13)),
        ('path:"/a b|', ("path", "/a b", 5, 10)),
        ('path:"/a |b"', ("path", "/a ", 5, 11)),
        ('path:"/a b"|', ("path", "/a b", 5, 11)),
        ("foo:|", None),
    ],
)
def test_the_word_at_the_caret_is_completed(line: str, expected: tuple[str | None, str, int, int] | None) -> None:
    point = completion_point(line.replace("|", ""), line.index("|"))

    assert (point and (point.name, point.typed, point.start, point.end)) == expected


@pytest.mark.parametrize("line", ['"' * MAX_LINE, "a:" * 2_000, "\\" * MAX_LINE, 'a"' * 2_000, "status:" + "," * 3_990])
def test_a_hostile_line_is_refused_in_time(line: str) -> None:
    begun = time.perf_counter()

    with pytest.raises(QueryLineError):
        parse_line(line)

    assert time.perf_counter() - begun < 1


def test_a_line_of_many_words_is_read_in_time() -> None:
    begun = time.perf_counter()

    assert parse_line("a " * 128) == Filters(" ".join("a" * 128))
    assert time.perf_counter() - begun < 1
