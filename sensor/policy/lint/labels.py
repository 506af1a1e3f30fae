"""The form of pod labels, each compared as `key=value`; and the selectors of Kubernetes that are pasted for them."""

from __future__ import annotations

import re
from typing import Final

from sensor.policy.lint import readings
from sensor.policy.lint.findings import Flaw, Level, Suggestion, Value
from sensor.policy.lint.names import WILDCARDS

_LETTERS: Final = re.compile(r"[a-z0-9._/=-]*")
_WORDS: Final = "A label is key=value, of letters, digits, hyphens, dots and underscores."
_KEY: Final = r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?"
_SET: Final = re.compile(rf"({_KEY})\s+in\s*\(([^()]+)\)", re.IGNORECASE)
_MAX_VALUE: Final = 63
_NAMED: Final = "The name of the property is not part of the value."


def _strip_path(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^-{0,2}(?:selector|label|l)(?:=|\s+)(?=\S*=)", "", string)
    text = re.sub(r"^(?:[\w.]*\.)?(?:pod_?)?(?:labels?|matchLabels)\s*[.:]\s*(?=\S)", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^(?:[\w.]*\.)?(?:labels?|matchLabels)\s*\[([^\]]+)\]\s*", r"\1", text, flags=re.IGNORECASE)
    return text, _NAMED


def _strip_brackets(string: str) -> tuple[str, str] | None:
    return re.sub(r"^[{\[]\s*|\s*[}\]]$", "", string), "Brackets are not part of a label."


def _join(string: str) -> tuple[str, str] | None:
    """Key and value, as YAML, JSON, kubectl and other tools write them."""
    if _SET.fullmatch(string):
        return None
    text = re.sub(r"""["'`“”]""", "", string)
    text = re.sub(r"\s*(?:===?|=~|=>|->|=|:(?!:))\s*(?=\S)", "=", text)
    return re.sub(r"\s+=$|:$", "=", text), "A label is written key=value."


_STEPS: Final[tuple[readings.Step, ...]] = (
    readings.strip_blanks,
    readings.strip_end,
    readings.strip_list_mark,
    _strip_path,
    readings.unquote_string,
    _strip_brackets,
    readings.unfold_alike,
    readings.decode_percent,
    _join,
    readings.unfold_regex,
)


def label_flaw(operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of pod labels, None where it may match."""
    problem = _problem(operator, string)
    if problem is None:
        return None
    level, words = problem
    if re.search(r"!=|\bnotin\b|^!", string):
        return Flaw(level, "A value cannot be negated: put a rule with the exception above this one.")
    reading = readings.read(string, _STEPS)
    suggestion = None if reading.is_open else _meant(operator, reading.strings[0])
    if suggestion and suggestion.more:
        words = "Each label needs a condition of its own; all conditions must hold."
    elif readings.WILDCARD.search(string) and not reading.reason:
        words = WILDCARDS
    else:
        words = reading.reason or words
    return Flaw(level, words, suggestion)


def _problem(operator: str, string: str) -> tuple[Level, str] | None:
    text = readings.WILDCARD.sub("", string.casefold()) if operator == "matches" else string.casefold()
    key, equals, value = text.partition("=")
    from_start, to_end = operator in ("equals", "starts_with"), operator in ("equals", "ends_with")
    problems: tuple[tuple[bool, Level, str], ...] = (
        (not _LETTERS.fullmatch(text), "error", _WORDS),
        ("=" in value or bool(equals and "/" in value) or key.count("/") > 1, "error", _WORDS),
        (from_start and text.startswith(("=", "/")), "error", "A label begins with its key."),
        (operator == "equals" and not equals, "error", "A label is key=value."),
        (from_start and re.match(r"(?:[\w.]+\.)?labels?\.|matchlabels\.", text) is not None, "warning", _NAMED),
        (to_end and text.endswith(("-", ".", "_", "/")), "warning", "No label ends with a sign such as -."),
        (from_start and text.startswith(("-", ".", "_")), "warning", "No label begins with a sign such as -."),
        (from_start and value.startswith(("-", ".", "_")), "warning", "No label's value begins with a sign such as -."),
        (len(value) > _MAX_VALUE, "warning", f"The value of a label has at most {_MAX_VALUE} characters."),
    )
    return next(((level, words) for is_found, level, words in problems if is_found), None)


def _meant(operator: str, string: str) -> Suggestion | None:
    if of_set := _SET.fullmatch(string):
        parts = [readings.strip_quotes(each.strip()) for each in of_set[2].split(",")]
        values = tuple((operator, f"{of_set[1]}={each}") for each in parts if each)
        return _checked(values)
    either = [each for each in re.split(r"\s*(?:\|\|?|\s+or\s+)\s*", string, flags=re.IGNORECASE) if each]
    if len(either) > 1:
        return (
            _checked(tuple(_one_meant(operator, each) for each in either))
            if all("=" in each for each in either)
            else None
        )
    parts = [each for each in re.split(r"\s*(?:,|;|&&?|\s+and\s+|\s+)\s*", string, flags=re.IGNORECASE) if each]
    if len(parts) > 1:
        # In a selector a comma means AND: so does a condition of its own.
        if not all("=" in each for each in parts):
            return None
        first, *more = (_one_meant(operator, each) for each in parts)
        return _checked((first,), tuple(more))
    return _checked((_one_meant(operator, string),))


def _one_meant(operator: str, string: str) -> Value:
    if operator != "matches" and readings.WILDCARD.search(string):
        return readings.split_pattern(operator, string)
    if operator == "equals":
        if "=" not in string:
            return "starts_with", f"{string}="
        if string.startswith("="):
            return "ends_with", string
        if string.endswith(("-", ".", "_")):
            return "starts_with", string
    if operator == "starts_with" and string.startswith("="):
        return "contains", string
    return operator, string


def _checked(values: tuple[Value, ...], more: tuple[Value, ...] = ()) -> Suggestion | None:
    is_right = bool(values) and all(_problem(*value) is None for value in (*values, *more))
    return Suggestion(values, more) if is_right else None
