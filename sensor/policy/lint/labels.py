"""The form of pod labels, each compared as `key=value`; and the selectors of Kubernetes that are pasted for them."""

from __future__ import annotations

import re
from typing import Final

from sensor.policy.lint import readings
from sensor.policy.lint.findings import Flaw, Level, Suggestion, Value
from sensor.policy.lint.languages import language
from sensor.policy.lint.names import WILDCARDS

_LETTERS: Final = re.compile(r"[a-z0-9._/=-]*")
_WORDS: Final = "A label is key=value, of letters, digits, hyphens, dots and underscores."
_KEY: Final = r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?"
_SET: Final = re.compile(rf"({_KEY})\s+in\s*\(([^()]+)\)", re.IGNORECASE)
_MAX_VALUE: Final = 63
_MAX_PREFIX: Final = 253
_WHOLE: Final = "A pattern is compared with the whole label, key=value."
_NAMED: Final = "The name of the property is not part of the value."


_OTHERS: Final = {
    "metadata.name": "pod_name",
    "metadata.namespace": "namespace",
    "kubernetes.io/metadata.name": "namespace",
    "io.kubernetes.pod.namespace": "namespace",
    "io.kubernetes.pod.name": "pod_name",
    "io.kubernetes.container.name": "container_name",
}
"""Fields and labels that no pod has as its own label, with the property that was meant."""
_FIELD: Final = re.compile(r"(?:spec\.(?:nodename|schedulername|restartpolicy|serviceaccountname)|status\.\w+)=")
_KNOWN_KEY: Final = (
    r"[^/]*(?:$|=)|(?:[\w-]+\.)*(?:kubernetes\.io|k8s\.io|helm\.sh|openshift\.io|istio\.io|argoproj\.io|cilium\.io)/"
)
"""A key without a domain, or with one of Kubernetes and its tools: `labels.example.com/x` is a key of its own."""
_PATH: Final = re.compile(rf"(?:[\w.]+\.)?labels?\.(?:{_KNOWN_KEY})|matchlabels\.")
_EXPRESSION: Final = re.compile(
    r"[-{]?\s*key:\s*(\S+?),?\s+operator:\s*(\w+),?(?:\s+values:\s*\[([^\]]*)\])?\s*\}?", re.IGNORECASE
)


def _unfold_expression(string: str) -> tuple[str, str] | None:
    found = _EXPRESSION.fullmatch(string)
    if found is None or found[2].casefold() not in ("in", "exists"):
        return None
    text = f"{found[1]} in ({found[3]})" if found[3] else f"{found[1]}="
    return text, "A selector's expression is written as key=value here."


def _strip_path(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^-{0,2}(?:selector|label|l)(?:=|\s+)(?=\S*=)", "", string)
    text = re.sub(r"^(?:k8s|any|container):(?=\S+[=:])", "", text)
    text = re.sub(
        r"^(?:[\w.]*\.|\w+\s)?(?:pod_?)?(?:labels?|matchLabels)\s*[.:=]\s*(?=\S)", "", text, flags=re.IGNORECASE
    )
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
    readings.strip_comment,
    readings.strip_end,
    readings.strip_markup,
    _unfold_expression,
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
    if other := _other_property(operator, string):
        return Flaw(level, words, other)
    if re.search(r"!=|\bnotin\b|^!|operator:\s*(?:NotIn|DoesNotExist)", string, re.IGNORECASE):
        return Flaw(level, "A value cannot be negated: put a rule with the exception above this one.")
    # Lines of YAML are labels that must all be there, as those of a selector.
    lines = readings.compact(string.strip("\r\n"))
    reading = readings.read(re.sub(r"\s*[\r\n]+\s*", ",", lines), _STEPS)
    suggestion = None if reading.is_open else _meant(operator, reading.strings[0])
    if suggestion and suggestion.more:
        words = "Each label needs a condition of its own; all conditions must hold."
    elif operator != "matches" and readings.WILDCARD.search(string) and not reading.reason:
        words = WILDCARDS
    else:
        words = reading.reason or words
    return Flaw(level, words, suggestion)


def _problem(operator: str, string: str) -> tuple[Level, str] | None:
    text = readings.WILDCARD.sub("", string.casefold()) if operator == "matches" else string.casefold()
    key, equals, value = text.partition("=")
    from_start, to_end = operator in ("equals", "starts_with"), operator in ("equals", "ends_with")
    prefix, slash, name = key.rpartition("/")
    is_long = len(name if slash or from_start else "") > _MAX_VALUE or len(prefix) > _MAX_PREFIX
    is_possible = language("pod_labels").may_satisfy(operator, string.casefold())
    problems: tuple[tuple[bool, Level, str], ...] = (
        (not _LETTERS.fullmatch(text), "error", _WORDS),
        ("=" in value or bool(equals and "/" in value) or key.count("/") > 1, "error", _WORDS),
        (from_start and text.startswith(("=", "/")), "error", "A label begins with its key."),
        (operator == "equals" and not equals, "error", "A label is key=value."),
        (from_start and _PATH.match(text) is not None, "warning", _NAMED),
        (to_end and text.endswith(("-", ".", "_", "/")), "warning", "No label ends with a sign such as -."),
        (from_start and key in _OTHERS and bool(equals), "warning", "No pod has this as its own label."),
        (from_start and _FIELD.match(text) is not None, "warning", "This is a field of a pod, not a label."),
        (from_start and text.startswith(("-", ".", "_")), "warning", "No label begins with a sign such as -."),
        (from_start and value.startswith(("-", ".", "_")), "warning", "No label's value begins with a sign such as -."),
        (len(value) > _MAX_VALUE, "warning", f"The value of a label has at most {_MAX_VALUE} characters."),
        (is_long and bool(equals), "warning", f"The name of a label has at most {_MAX_VALUE} characters."),
        (operator == "matches" and not readings.WILDCARD.search(string) and not equals, "warning", _WHOLE),
        (not is_possible, "warning", "No label is formed so: a letter or digit is first and last in key and value."),
    )
    return next(((level, words) for is_found, level, words in problems if is_found), None)


def _other_property(operator: str, string: str) -> Suggestion | None:
    """Return the condition on a name that was meant by a label which only repeats it; None where there is none."""
    key, _, value = string.partition("=")
    name = _OTHERS.get(key.removeprefix("k8s:").casefold())
    if name is None or not value or operator not in ("equals", "starts_with"):
        return None
    return Suggestion(((operator, value),), name=name)


def _meant(operator: str, string: str) -> Suggestion | None:
    requirements = re.split(r"\s*,\s*(?![^()]*\))", string)
    if any(_SET.fullmatch(each) for each in requirements):
        return _of_selector(operator, requirements)
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


def _of_selector(operator: str, requirements: list[str]) -> Suggestion | None:
    """Return the conditions of a selector with sets; None where more than one of them needs several values."""
    conditions: list[tuple[Value, ...]] = []
    for each in requirements:
        of_set = _SET.fullmatch(each)
        parts = of_set[2].split(",") if of_set else []
        values = (
            [f"{of_set[1]}={readings.strip_quotes(part.strip())}" for part in parts if part.strip()]
            if of_set
            else [each]
        )
        conditions.append(tuple((operator, value) for value in values))
    # Several values fit into the first condition alone.
    conditions.sort(key=len, reverse=True)
    if any(len(values) > 1 for values in conditions[1:]):
        return None
    return _checked(conditions[0], tuple(values[0] for values in conditions[1:]))


def _one_meant(operator: str, string: str) -> Value:
    if operator != "matches" and readings.WILDCARD.search(string):
        return readings.split_pattern(operator, string)
    if operator == "matches" and "=" not in string and not readings.WILDCARD.search(string):
        return "contains", string
    if operator in ("starts_with", "contains"):
        string = re.sub("={2,}", "=", string)
    if operator == "starts_with" and string.startswith("="):
        return "contains", string
    return _whole_meant(string) if operator == "equals" else (operator, string)


def _whole_meant(string: str) -> Value:
    """Return what was meant by a whole label that is only a part of one."""
    if "=" not in string:
        return "starts_with", f"{string}="
    if string.startswith("="):
        return "ends_with", string
    return "starts_with" if string.endswith(("-", ".", "_")) else "equals", string


def _checked(values: tuple[Value, ...], more: tuple[Value, ...] = ()) -> Suggestion | None:
    is_right = bool(values) and all(_problem(*value) is None for value in (*values, *more))
    return Suggestion(values, more) if is_right else None
