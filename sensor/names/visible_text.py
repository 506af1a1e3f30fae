"""Characters that a reader does not see or that reorder what is read: found, and shown as escapes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Final

_INVISIBLE: Final = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0e\uffa0\ufff0-\ufff8"
    "\U000e0000\U000e0002-\U000e001f\U000e0080-\U000e0fff"
)
"""Letters and marks without a glyph (Unicode's Default_Ignorable_Code_Point outside category Cf, and blank letters)."""
_EMOJI: Final = (
    "\xa9\xae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
"""What U+FE0F makes coloured; with a digit, `#` or `*` before U+20E3 it is a key. Elsewhere it shows nothing."""
_NO_STYLE: Final = f"(?<![{_EMOJI}]\ufe0f)(?!(?<=[0-9#*]\ufe0f)\u20e3)"
_CONTROL_OR_FORMAT: Final = (
    "\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f"
)
"""Categories Cc, Cf, Cs, Zl and Zp; a test compares it with Python's Unicode tables."""
_HIDDEN: Final = re.compile(f"[{_CONTROL_OR_FORMAT}{_INVISIBLE}\ufe0f]{_NO_STYLE}")
_HIDDEN_IN_LINES: Final = re.compile(f"(?![\t\n\r]){_HIDDEN.pattern}")
_SPACES: Final = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
"""They pass for a space, or for none, in a name."""
_MARKS: Final = {"Mn", "Me"}
MOST_MARKS: Final = 4
"""Marks on one letter; more of them would cover the lines above and below."""
_SHORT: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_WORD: Final = re.compile("(?:[^\\W_]|[\u0300-\u036f])+")
_SCRIPTS: Final = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"}
"""Scripts of which letters look like Latin ones."""
_STYLED: Final = "styled"
"""The script of full-width, mathematical and other forms of Latin letters."""


def hidden_character(text: str, *, several_lines: bool = False) -> tuple[int, str] | None:
    """Return the position (from 0) and name of the first hidden character; None without one.

    Line breaks and tabs are hidden characters where the text must not have `several_lines`.
    """
    found = (_HIDDEN_IN_LINES if several_lines else _HIDDEN).search(text)
    return (found.start(), _name(found[0])) if found else None


def visible_pattern(*, several_lines: bool = False) -> str:
    r"""Return a regular expression of JSON Schema for one character that is not hidden, such as `[^\u0000-\u001f]`.

    Surrogates are left out, as no valid JSON has half of a pair, and so are hidden characters beyond U+FFFF: the
    dialects that read it, JavaScript's, Python's and Rust's, have no escape for them in common. U+FE0F is allowed: it
    is hidden only behind what is no emoji.
    """
    hidden = (_CONTROL_OR_FORMAT + _INVISIBLE).replace("\ud800-\udfff", "")
    if several_lines:
        hidden = hidden.replace("\x00-\x1f", "\x00-\x08\x0b\x0c\x0e-\x1f")
    ranges = re.findall("(.)(?:-(.))?", hidden, re.DOTALL)
    excluded = "".join(_range(first, last) for first, last in ranges if first <= "\uffff")
    return f"[^{excluded}]"


def _range(first: str, last: str) -> str:
    return "-".join(f"\\u{ord(letter):04x}" for letter in (first, last) if letter)


def without_hidden(text: str) -> str:
    """Return the text without its hidden characters."""
    return _HIDDEN.sub("", text)


def visible_text(text: str, *, several_lines: bool = False) -> str:
    r"""Return the text with its hidden characters as escapes, such as `\u202e` and `\n`.

    So are marks without a letter, or too many on one, and in a name, which has one line, spaces other than ASCII's.
    """
    if text.isascii() and text.isprintable():
        return text
    text = (_HIDDEN_IN_LINES if several_lines else _HIDDEN).sub(lambda found: _escape(found[0]), text)
    if not several_lines:
        text = _SPACES.sub(lambda found: _escape(found[0]), text)
    return "".join(_with_visible_marks(text)) if _mark_pattern().search(text) else text


def has_escapable(text: str) -> bool:
    """Return whether `visible_text` would escape a character of the text, of several lines, in some surroundings."""
    # The selector for emoji is a mark as well.
    return bool(_HIDDEN_IN_LINES.search(text) or _mark_pattern().search(text))


@cache
def _mark_pattern() -> re.Pattern[str]:
    # Up to the emoji: behind them are variation selectors alone, which are hidden. Compiled when a text needs it.
    marks = (each for each in map(chr, range(0x300, 0x1F000)) if unicodedata.category(each) in _MARKS)
    return re.compile(f"[{''.join(marks)}]")


def _with_visible_marks(text: str) -> Iterator[str]:
    marks = MOST_MARKS  # at the beginning there is nothing that a mark belongs to
    for letter in text:
        # A selector that was not hidden belongs to an emoji, which need not be a letter: ©, or # of a key.
        is_mark = letter > "\u02ff" and letter != "\ufe0f" and unicodedata.category(letter) in _MARKS
        if not is_mark:
            marks = 0 if letter.isalnum() or letter > "\u02ff" else MOST_MARKS
            yield letter
        elif marks < MOST_MARKS:
            marks += 1
            yield letter
        else:
            yield _escape(letter)


def visible_json(text: str) -> str:
    r"""Return a JSON document with its hidden characters as JSON's own escapes: the value stays the same."""
    return _HIDDEN_IN_LINES.sub(lambda found: _json_escape(found[0]), text)


def has_mixed_scripts(text: str) -> bool:
    """Return whether a word has letters beside Latin ones that look like them, or styled ones, as full-width forms."""
    return not text.isascii() and any(map(_is_mixed, _WORD.findall(text)))


def _is_mixed(word: str) -> bool:
    scripts = {_script(letter) for letter in word} - {""}
    return len(scripts) > 1 or _STYLED in scripts


def _script(letter: str) -> str:
    if letter.isascii():
        return "LATIN" if letter.isalpha() else ""
    script = unicodedata.name(letter, "").partition(" ")[0]
    if script in _SCRIPTS:
        return script
    plain = unicodedata.normalize("NFKC", letter)
    return _STYLED if plain.isascii() and plain.isalpha() and letter not in "ªº" else ""


def _name(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'control character')}"


def _json_escape(character: str) -> str:
    code_units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code_units[start : start + 4]}" for start in range(0, len(code_units), 4))


def _escape(character: str) -> str:
    code = ord(character)
    # Not `\xNN` beyond ASCII: in a shell's $'…' that is a byte, and \u a character.
    escape = f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _SHORT.get(character, escape)
