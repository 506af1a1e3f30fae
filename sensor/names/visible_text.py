"""Characters that a reader does not see or that reorder what is read: found, and shown as escapes."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U000e0100-\U000e01ef"
"""Letters and marks without a glyph (Unicode's Default_Ignorable_Code_Point outside category Cf, and blank letters)."""
_CONTROL_OR_FORMAT: Final = (
    "\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f"
)
"""Categories Cc, Cf, Cs, Zl and Zp; a test compares it with Python's Unicode tables."""
_HIDDEN: Final = re.compile(f"[{_CONTROL_OR_FORMAT}{_INVISIBLE}]")
_HIDDEN_IN_LINES: Final = re.compile(f"(?![\t\n\r]){_HIDDEN.pattern}")
_SHORT: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def hidden_character(text: str, *, several_lines: bool = False) -> tuple[int, str] | None:
    """Return the position (from 0) and name of the first hidden character; None without one.

    Line breaks and tabs are hidden characters where the text must not have `several_lines`.
    """
    found = (_HIDDEN_IN_LINES if several_lines else _HIDDEN).search(text)
    return (found.start(), _name(found[0])) if found else None


def visible_pattern(*, several_lines: bool = False) -> str:
    r"""Return a regular expression of JSON Schema for one character that is not hidden, such as `[^\u0000-\u001f]`.

    Surrogates are left out, as no valid JSON has half of a pair, and so are hidden characters beyond U+FFFF: the
    dialects that read it, JavaScript's, Python's and Rust's, have no escape for them in common.
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
    r"""Return the text with its hidden characters as escapes, such as `\u202e` and `\n`."""
    return (_HIDDEN_IN_LINES if several_lines else _HIDDEN).sub(lambda found: _escape(found[0]), text)


def visible_json(text: str) -> str:
    r"""Return a JSON document with its hidden characters as JSON's own escapes: the value stays the same."""
    return _HIDDEN_IN_LINES.sub(lambda found: _json_escape(found[0]), text)


def has_mixed_scripts(text: str) -> bool:
    """Return whether a word of the text mixes Latin letters with Cyrillic or Greek ones, which look alike."""
    return not text.isascii() and any(
        len({_script(letter) for letter in word} - {""}) > 1 for word in re.findall(r"[^\W\d_]+", text)
    )


def _script(letter: str) -> str:
    if letter.isascii():
        return "LATIN"
    script = unicodedata.name(letter, "").partition(" ")[0]
    return script if script in {"LATIN", "CYRILLIC", "GREEK"} else ""


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
