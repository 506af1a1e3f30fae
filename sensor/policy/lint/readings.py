"""What a pasted string probably means: quotes, blanks, prefixes, lists and patterns of other tools taken off.

Each step looks at the string for one kind of foreign syntax. The first that finds one gives the reason; all of them
together give the strings that were probably meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from sensor.names.visible_text import has_mixed_scripts, without_hidden

Step = Callable[[str], tuple[str, str] | None]
"""Returns the string without one kind of foreign syntax, and the reason in words; None where there is none."""

QUOTES: Final = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "„": "“", "”": "”"}
_ALIKE_PAIRS: Final = (
    "кkтtмmаaеeоoрpсcуyхxіiјjѕsԁdһhԛqԝwАAВBЕEКKМMНHОOРPСCТTХXαaοoνvρpιiκkτtΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧX"
    "‐-‑-‒-–-—-―-−-﹣-⁄/∕/⧸/∗*⁎*․.۰0ꞏ:ː:"
)
_ALIKE: Final = {ord(odd): plain for odd, plain in zip(_ALIKE_PAIRS[::2], _ALIKE_PAIRS[1::2], strict=True)}
"""Letters and signs that look like those of ASCII, each before the one that it looks like."""
_LOOK_ALIKE: Final = "It has letters or signs that only look like those of ASCII."
_SLASHES: Final = re.compile("[\u2044\u2215\u29f8]")
NEGATED: Final = "A value cannot be negated: put a rule with the exception above this one."
_COLOURS: Final = re.compile(r"(?:\x1b|\^\[|\\(?:e|033|x1b))\[[0-9;]{0,12}[A-Za-z]")
"""What a terminal takes for a colour; also as `cat -v` and shells write it."""
_TAG: Final = re.compile(r"^!{1,2}str\s+")
"""Of YAML, before a string."""
LONG: Final = 64
MOST: Final = 100
"""As many values or entries as a rule may have: nobody takes a suggestion of more, and each takes a while to read."""
WILDCARD: Final = re.compile(r"[*?]")
_REGEX: Final = re.compile(
    r"^\^|\$$|(?<!\d)\.[*+]|\\[.\-/dwsbSWD]|\[\^?[A-Za-z0-9]-[A-Za-z0-9][^\]]*\][*+?{]?|\[\^[^\]\[]+\][*+]|\([^()|]*\|[^()]*\)|\(\?"
)
REGEX_OF_PATTERN: Final = re.compile(r"^\^|\\\.|\\[dwDWS](?![\w\\])|^\.\*(?=.)|(?<!\d)\.\+$|\][+]|(?<=[^$/])\$$")
"""Where patterns are compared: `.*` is a dot and a wildcard there."""
_TEMPLATE: Final = re.compile(
    r"^%[a-z]\w*\.[\w.]+$|"
    r"(?<![A-Za-z0-9])\$[A-Z_][A-Z0-9_]*(?![a-z])|[A-Za-z0-9]\$[A-Z_][A-Z0-9_]+(?![a-z]|[^/]*\.class$)|^\$[\d@]$|"
    r"\$\{\{?|\{\{|\{%|\$\(|^%[A-Z_]+%|^<[\w .-]+>$|^#\{|^(?:N/A|n/a|null|undefined)$"
)
"""Variables that nobody filled in. `Outer$Inner.class` is a file of Java."""

_NEGATED: Final = re.compile(
    r"!=?\s*\S|not\s+\S|\[\^(?!\w-\w)|[%$]?[A-Za-z_][\w.\[\]-]*\s*(?:!=|!~|<>|\sis\s+not\s|\s-?neq?\s|\snot\s+(?:in|like|equals?|contains|matches|"
    r"starts?_?with|ends?_?with)\b|\snotin\b|\sdoes\s?n['o]t\s)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """`reason` is why the string does not match as typed, "" where no step found anything; `strings` what was meant.

    `is_open`: a step found syntax of which nothing can be made, so that there is no suggestion.
    """

    reason: str
    strings: tuple[str, ...]
    is_open: bool = False


def read(string: str, steps: Sequence[Step], separators: str = "") -> Reading:
    """Take the steps one after the other, then split a list at any of the `separators`."""
    reason = ""
    if _TEMPLATE.search(string):
        return Reading("A variable or placeholder is not filled in here.", (string,), is_open=True)
    string = _TAG.sub("", string)
    if is_negated(string):
        return Reading(NEGATED, (string,), is_open=True)
    string = compact(string)
    lines = [line for line in re.split(r"[\r\n]+", string) if line.strip()]
    if len(lines) > 1:
        several = [read(line, steps, separators) for line in lines[:MOST]]
        strings = tuple(dict.fromkeys(each for one in several for each in one.strings))
        is_open = len(lines) > MOST or any(one.is_open for one in several)
        return Reading("Each value needs a row of its own.", strings, is_open=is_open)
    for step in steps:
        found = step(string)
        if found is not None and found[0] != string:
            string, reason = compact(found[0]), reason or found[1]
            if is_negated(string):
                return Reading(NEGATED, (string,), is_open=True)
    parts = _split(string, separators) if separators else [string]
    if len(parts) > 1:
        return Reading(reason or "Each value needs a row of its own.", tuple(parts))
    return Reading(reason, (string,))


def is_negated(string: str) -> bool:
    """Return whether it says what is not meant, as `!shop` or `namespace != shop` does."""
    return _NEGATED.match(string.strip()) is not None


def compact(string: str) -> str:
    """Return a long string with no more than two blanks in a row: what looks for blanks then takes linear time."""
    return re.sub(r"(\s)\s{2,}", r"\1\1", string) if len(string) > LONG else string


def _split(string: str, separators: str) -> list[str]:
    if braces := re.fullmatch(r"([^{}]*)\{([^{}]+,[^{}]+)\}([^{}]*)", string):
        return [braces[1] + each.strip() + braces[3] for each in braces[2].split(",")]
    bare = re.sub(r"^[\[({]\s*|\s*[\])}]$", "", string) if re.search(r"[,|;]", string) else string
    words = rf"\s+(?:or|and|&&?|\|\|)\s+|[{re.escape(separators)}]+"
    parts = [strip_quotes(each.strip()) for each in re.split(words, bare, flags=re.IGNORECASE)]
    return [each for each in dict.fromkeys(parts) if each] or [string]


def strip_blanks(string: str) -> tuple[str, str] | None:
    """Blanks of any kind around it, and characters that nobody sees anywhere in it."""
    # In the middle, a tab or line break separates words.
    visible = without_hidden(re.sub(r"[\t\n\r]", " ", _COLOURS.sub("", string)))
    stripped = visible.strip()
    if stripped == string:
        return None
    if visible.strip() == string.strip():
        return stripped, "It begins or ends with a blank."
    return stripped, "It has a character that cannot be seen."


def strip_quotes(string: str) -> str:
    """Return the string without quotes around it, also where only one of the two was copied."""
    if len(string) > 1 and QUOTES.get(string[0]) == string[-1]:
        return string[1:-1].strip()
    if string[:1] in QUOTES and string.count(string[0]) == 1:
        return string[1:]
    if string[-1:] in QUOTES.values() and string.count(string[-1]) == 1:
        return string[:-1]
    return string


def unquote_string(string: str) -> tuple[str, str] | None:
    """Quotes around it."""
    return strip_quotes(string), "Quotes are part of the value here."


def strip_end(string: str) -> tuple[str, str] | None:
    """A comma or semicolon at the end, as in a list of a file."""
    return string.rstrip(",; "), "It ends with a separator."


def strip_list_mark(string: str) -> tuple[str, str] | None:
    """The mark of a list's entry in YAML or Markdown."""
    return re.sub(r"^[-•+]\s+", "", string), "It begins with the mark of a list."


def strip_markup(string: str) -> tuple[str, str] | None:
    """Marks of Markdown, HTML and YAML around a value that has no such signs itself."""
    text = re.sub(r"^\[([^\]]+)\]\([^()]*\)$", r"\1", string)
    text = re.sub(r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>", "", text) if re.search(r"[\w>]<|>\w", text) else text
    text = re.sub(r"^(?:>+|\d{1,3}[.)]|\[[ xX]\]|&\w+|\|)\s+(?=\w)", "", text)
    text = re.sub(r"^\|\s*([^|]+?)\s*\|$", r"\1", text)
    return re.sub(r"(?<=\w)(?:\\[nrt]|\\)+$", "", text), "Marks of a text are part of the value here."


def strip_star(string: str) -> tuple[str, str] | None:
    """The star of a list in Markdown, where no value has a blank."""
    return re.sub(r"^\*\s+(?=\w)", "", string), "It begins with the mark of a list."


def strip_key(*keys: str) -> Step:
    """Return a step that takes off a key of YAML, JSON or a command's option before the value."""
    words = "|".join(keys)
    pattern = re.compile(
        rf"""^(?:-{{1,2}})?[=^+<]?\(?["']?(?:[\w.]+[._])?(?:{words})["']?\)?"""
        r"""\s*(?::\s+|\s*[:=]=?\s*|\s+in\s*(?=[\[(])|\s+(?!exists\b))(?=\S)""",
        re.I,
    )

    def step(string: str) -> tuple[str, str] | None:
        return strip_quotes(pattern.sub("", string, count=1)), "The name of the property is not part of the value."

    return step


def strip_syntax(string: str) -> tuple[str, str] | None:
    """A prefix that names another tool's way of comparing, such as `regex:`, and slashes around an expression."""
    text = re.sub(r"^(?:re|regexp?|glob|pattern|like|exact|prefix|suffix)\s*:\s*", "", string, flags=re.IGNORECASE)
    text = re.sub(r"^in\s*(?=[\[(])", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^r/(?=.*[*+^$\\|\[(])(?!.*/[gimsu]*$)", "", text)
    if expression := re.fullmatch(r"r?/(.*[*+^$\\\[(].*)/[gimsu]*", text):
        text = expression[1]
    return text, "Such a prefix is not known here."


def strip_comment(string: str) -> tuple[str, str] | None:
    """A comment behind the value."""
    return re.sub(r"\s+(?:#|//).*$", "", string), "A comment is part of the value here."


def strip_braces(string: str) -> tuple[str, str] | None:
    """Braces around a condition, as in a selector of Prometheus."""
    return re.sub(r"^\{\s*([\w.]+\s*=[^{}]*?)\s*\}$", r"\1", string), "Braces are not part of the value."


def strip_brackets(string: str) -> tuple[str, str] | None:
    """Brackets around the whole."""
    if re.fullmatch(r"\[\^?\w-\w.*\]", string):
        return None  # a class of letters
    return re.sub(r"^[\[({]\s*([^\[\](){}]*?)\s*[\])}]$", r"\1", string), "Brackets are part of the value here."


def unfold_like(string: str) -> tuple[str, str] | None:
    """The wildcard of SQL's LIKE, where no value has a percent sign."""
    if re.search(r"%[0-9A-Fa-f]{2}", string):
        return None
    return string.replace("%", "*"), "The wildcard is *, with the operator Matches."


def strip_option(string: str) -> tuple[str, str] | None:
    """An option of a command, as in `-n kube-system`."""
    return re.sub(r"^--?[A-Za-z][\w-]*(?:=|\s+)(?=\S)", "", string), "An option of a command is not part of the value."


def strip_scheme(string: str) -> tuple[str, str] | None:
    """A scheme before an image or a path."""
    return re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*:/{2,3}(?=[^/])", "", string), "A scheme is not part of the value."


def unfold_alike(string: str) -> tuple[str, str] | None:
    """Letters that look like others, such as Cyrillic ones, and full-width forms."""
    plain = unicodedata.normalize("NFKC", string).translate(_ALIKE)
    return plain, _LOOK_ALIKE


def unfold_alike_words(string: str) -> tuple[str, str] | None:
    """The same where letters of any script are possible: only words that mix scripts, and wide ones, are suspicious."""
    # A name that is typed has no slash of mathematics: it comes from a page that set a path in type.
    plain = _SLASHES.sub("/", string)
    is_wide = not plain.isascii() and unicodedata.normalize("NFKC", plain).isascii()
    if is_wide or has_mixed_scripts(plain):
        return unfold_alike(plain)
    return (plain, _LOOK_ALIKE) if plain != string else None


def decode_percent(string: str) -> tuple[str, str] | None:
    """A string copied from a URL."""
    if not re.search(r"%(?:2[0aAdDeEfF]|3[aA]|40)", string):
        return None
    return unquote(string).strip(), "It is percent-encoded, as in a URL."


def unfold_regex(string: str) -> tuple[str, str] | None:
    """A regular expression, as a pattern with `*` and `?` where it can be one."""
    if not _REGEX.search(string):
        return None
    string = re.sub(r"\(\?[aimsux]+\)|\\[AbBzZ]", "", string)
    text = string.removeprefix("^").removesuffix("$")
    if not string.startswith("^") and not string.endswith("$") and re.fullmatch(r"\.[*+].*|.*\.[*+]", string) is None:
        text = string
    text = re.sub(r"\.[*+]\??", "*", text)
    text = re.sub(r"(\\d|\\w|\[[^\]]+\])[*+]", "*", text)
    text = re.sub(r"\((?:\?:)?([^()|?*]+)\)", r"\1", text)
    # Half an anchor leaves the other end open.
    if string.startswith("^") != string.endswith("$"):
        text = f"{text}*" if string.startswith("^") else f"*{text}"
    text = re.sub(r"\*{2,}", "*", text)
    return re.sub(r"\\([^A-Za-z0-9])", r"\1", text), "Regular expressions are not supported."


def split_pattern(operator: str, string: str) -> tuple[str, str]:
    """Return the operator and string that mean the same as a pattern with `*` and `?`, without them where possible."""
    inner = string.strip("*")
    if not inner:
        return "matches", "*"
    if not WILDCARD.search(inner):
        starts, ends = string.startswith("*"), string.endswith("*")
        if operator == "contains" or (starts and ends):
            return "contains", inner
        if operator in ("equals", "matches"):
            return ("ends_with" if starts else "starts_with"), inner
        if (operator, starts) in (("starts_with", False), ("ends_with", True)):
            return operator, inner
        return ("contains" if starts or ends else operator), inner
    before = "*" if operator in ("contains", "ends_with") else ""
    after = "*" if operator in ("contains", "starts_with") else ""
    return "matches", re.sub(r"\*{2,}", "*", before + string + after)


def has_template(string: str) -> bool:
    """Return whether the string has a variable or placeholder that nobody filled in."""
    return _TEMPLATE.search(string) is not None
