"""Hidden characters: every one of Unicode's is found, named and escaped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata

import pytest

from drift.alerts.domain.kubectl import PodFile, inspection
from sensor.names.visible_text import (
    has_mixed_scripts,
    hidden_character,
    visible_json,
    visible_pattern,
    visible_text,
)

ORDINARY = ["", "cart", "café", "Zoë’s “rule”", "规则", "правило", "قاعدة", "כלל", "👍 ok", "naïve – 5 €", "a b"]
HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_every_control_format_and_separator_character_of_unicode_is_hidden() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    missed = [each for each in every if unicodedata.category(each) in HIDDEN_CATEGORIES and not hidden_character(each)]

    assert missed == []


@pytest.mark.parametrize("several_lines", [False, True])
def test_the_pattern_of_the_api_s_schema_refuses_the_same_characters_up_to_the_astral_ones(
    *, several_lines: bool
) -> None:
    pattern = re.compile(visible_pattern(several_lines=several_lines))
    # Half of a surrogate pair is in no valid JSON; U+FE0F depends on what is before it.
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000 and code != 0xFE0F]

    assert [
        each
        for each in characters
        if bool(pattern.match(each)) is bool(hidden_character(each, several_lines=several_lines))
    ] == []


DEFAULT_IGNORABLE = (
    "ad 34f 61c 115f-1160 17b4-17b5 180b-180f 200b-200f 202a-202e 2060-206f 3164 fe00-fe0f feff ffa0 fff0-fff8"
    " 1bca0-1bca3 1d173-1d17a e0000-e0fff"
)
"""Of Unicode's DerivedCoreProperties.txt."""


@pytest.mark.parametrize("span", DEFAULT_IGNORABLE.split())
def test_every_character_that_a_font_may_leave_out_is_hidden(span: str) -> None:
    first, _, last = span.partition("-")
    characters = [chr(code) for code in range(int(first, 16), int(last or first, 16) + 1)]

    assert [each for each in characters if hidden_character(f"xmrig{each}") is None] == []


@pytest.mark.parametrize(
    "text",
    ["❤️ ok", "1️⃣", "#️⃣", "*\ufe0f\u20e3", "©️", "a ®\ufe0f 1", "‼️", "e\u0301", "नमस्ते", "שָׁלוֹם", "ภาษาไทยที่", "tiếng Việt"],
)
def test_emoji_and_marks_that_a_letter_has_are_shown(text: str) -> None:
    assert hidden_character(text) is None
    assert visible_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/\u0338x", "/tmp/\\u0338x"),
        ("\u0301x", "\\u0301x"),
        ("x" + "\u0301" * 6, "x" + "\u0301" * 4 + "\\u0301" * 2),
        ("a\xa0b\u2003c\u3000", "a\\u00a0b\\u2003c\\u3000"),
        ("xmrig\ufe0f", "xmrig\\ufe0f"),
        ("7\ufe0f", "7\\ufe0f"),
        ("#\ufe0f", "#\\ufe0f"),
        ("©\ufe0f\ufe0f", "©\ufe0f\\ufe0f"),
    ],
)
def test_marks_without_a_letter_and_spaces_of_other_kinds_are_escapes_in_a_name(text: str, shown: str) -> None:
    assert visible_text(text) == shown


def test_a_text_of_several_lines_keeps_its_spaces() -> None:
    assert visible_text("5\xa0minutes", several_lines=True) == "5\xa0minutes"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_of_any_language_have_no_hidden_character(text: str) -> None:
    assert hidden_character(text) is None
    assert visible_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/\u202egnp.exe", "/tmp/\\u202egnp.exe"),
        ("a\u200bb", "a\\u200bb"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("a\0\x1b[31m\x7f", "a\\x00\\x1b[31m\\x7f"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\ufeffa\u00adb", "\\ufeffa\\u00adb"),
        ("\u3164\u115f\u2800", "\\u3164\\u115f\\u2800"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_hidden_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert visible_text(text) == shown
    assert hidden_character(visible_text(text)) is None


def test_a_text_of_several_lines_has_line_breaks_and_tabs_but_nothing_else_hidden() -> None:
    assert hidden_character("a\r\n\tb", several_lines=True) is None
    assert hidden_character("a\n\u202eb", several_lines=True) == (2, "U+202E RIGHT-TO-LEFT OVERRIDE")
    assert visible_text("a\n\x0bb", several_lines=True) == "a\n\\x0bb"


MIXED = (
    "/tmp/аpt", "αpt", "x1-аpt", "/tmp/х11vnc", "а\u0301pt", "bаse64", "nоde",
    "𝗑mrig", "/bin/ｃｐ", "ꓖit", "օpenssl", "Ꭺpt"
)  # fmt: skip
NOT_MIXED = (
    "/tmp/apt", "/tmp/апт", "café", "апт/apt", "10 m²", "№1", "1º", "½", "日本語ver2", "한글abc", "5µs", "отчёт_v2.sh"
)  # fmt: skip


@pytest.mark.parametrize(("text", "mixed"), [*((text, True) for text in MIXED), *((text, False) for text in NOT_MIXED)])
def test_latin_letters_beside_those_that_look_like_them_are_noticed(text: str, mixed: bool) -> None:
    assert has_mixed_scripts(text) is mixed


@pytest.mark.parametrize("name", ["\u202egnp.exe", "it's \\ a\u200b", "a\nb", "plain name", "$(id)\u202e`id`"])
def test_a_copied_command_names_the_file_with_nothing_hidden_in_it(name: str) -> None:
    commands = dict(inspection(PodFile("n", "p", "", name, False))[-1].commands)
    (copy,) = (command for label, command in commands.items() if "copy" in label)

    assert hidden_character(copy) is None
    word = copy.partition(" -- cat ")[2].partition(" > ")[0]
    shown = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, env={"LC_ALL": "C.UTF-8"}, check=True
    )
    assert shown.stdout.decode() == name


def test_json_keeps_its_value_and_hides_nothing() -> None:
    value = {"a\u202e\u200b": ["\u2066\x7f\x85\ufeff", "\U000e0041é日本", "\n\t\\"]}

    shown = visible_json(json.dumps(value, indent=2, ensure_ascii=False))

    assert json.loads(shown) == value
    assert hidden_character(shown, several_lines=True) is None
    assert "é日本" in shown
