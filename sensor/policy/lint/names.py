"""The forms of names in Kubernetes: namespaces, pods, containers, labels; and of clusters, which are free."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sensor.policy.globs import shortest_length
from sensor.policy.lint import container_commands, expressions, readings, wrappings
from sensor.policy.lint.findings import Flaw, Level, Suggestion, Value
from sensor.policy.lint.languages import language

_TYPES: Final = (
    "ns|namespaces?|po|pods?|deploy|deployments?|sts|statefulsets?|ds|daemonsets?|jobs?|rs|containers?|svc|services?"
)
_DOCKER_NAME: Final = re.compile(r"k8s_([^_]+)_([^_]+)_([^_]+)_[0-9a-f-]{8,}_\d+", re.IGNORECASE)
_CONTAINER_ID: Final = r"[0-9a-f]{64}|(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{12}"
_EXPRESSION: Final = "Regular expressions are not supported."
_RUNTIME_ID: Final = re.compile(r"(?:docker|containerd|cri-o|podman)://", re.IGNORECASE)
WILDCARDS: Final = "Only the operator Matches knows wildcards."


_SERVICE: Final = re.compile(r"[\w-]+\.[\w-]+\.svc(?:\.cluster\.local)?\.?$")


def _account_namespace(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^system:serviceaccounts?:([\w.-]+)(?::[\w.-]+)?$", r"\1", string, flags=re.IGNORECASE)
    return text, "This is a service account: only its namespace belongs here."


def _dns_namespace(string: str) -> tuple[str, str] | None:
    text = re.sub(
        r"^(?:[\w-]+\.)*?([\w-]+)\.svc(?:\.cluster\.local)?\.?$", r"\1", string.rstrip("."), flags=re.IGNORECASE
    )
    return text, "This is the name of a service in DNS."


def _dns_pod(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^([\w-]+)\.[\w-]+\.[\w-]+\.svc(?:\.cluster\.local)?\.?$", r"\1", string, flags=re.IGNORECASE)
    return text, "This is the name of a pod in DNS: only its first part belongs here."


def _unfold_all(string: str) -> tuple[str, str] | None:
    is_all = re.fullmatch(r"(?:all|any|every)\s+\w+", string, re.IGNORECASE)
    return ("*", "Without this condition the rule is for all.") if is_all else None


def _strip_bold(string: str) -> tuple[str, str] | None:
    return re.sub(r"^(\*\*|__|~~|\|\|)([^*_~|]+)\1$", r"\2", string), "Marks of Markdown are part of the value here."


def _strip_type(string: str) -> tuple[str, str] | None:
    return re.sub(rf"^(?:{_TYPES})(?:\.[\w.]+)?/", "", string), "The type of the resource is not part of its name."


COMMON_STEPS: Final[tuple[readings.Step, ...]] = (
    readings.strip_blanks,
    readings.strip_comment,
    readings.strip_end,
    readings.unquote_string,
    readings.strip_list_mark,
    readings.strip_star,
    readings.strip_markup,
    _strip_bold,
    readings.strip_braces,
    expressions.unfold_condition,
    readings.strip_syntax,
    readings.strip_key(
        "namespace",
        "ns",
        "name",
        "pods",
        "pod",
        "podname",
        "pod_name",
        "container",
        "containername",
        "container_name",
        "cluster",
        "namespaces",
        "kubernetes\\.io/metadata\\.name",
        "excludednamespaces",
        "containers",
    ),
    expressions.first_column,
    _unfold_all,
    readings.strip_syntax,
    readings.strip_option,
    readings.unquote_string,
    readings.strip_brackets,
    readings.unquote_string,
    readings.unfold_alike,
    readings.decode_percent,
    readings.unfold_like,
    _strip_type,
    readings.unfold_regex,
)
SEPARATORS: Final = ",;| "


@dataclass(frozen=True, slots=True)
class NameForm:
    """`letters` are all that such a name can have, `usual` those that Kubernetes allows; both folded.

    `grammar` is what no such name breaks, one of `languages.GRAMMARS`.
    """

    grammar: str
    letters: re.Pattern[str]
    usual: re.Pattern[str]
    words: str
    most: int
    place: int
    """Which part of `a/b` such a name is."""
    steps: tuple[readings.Step, ...] = ()
    """What else is pasted for such a name."""

    def flaw(self, operator: str, string: str) -> Flaw | None:
        """Return what is wrong with a value, None where it may match."""
        problem = self._problem(operator, string)
        if problem is None:
            return None
        level, words = problem
        reading = readings.read(string, (*self.steps, *COMMON_STEPS), SEPARATORS)
        is_open = reading.is_open or _RUNTIME_ID.match(string) or self._has_unread_command(string)
        values = () if is_open else self._meant(operator, reading.strings)
        if operator != "matches" and readings.WILDCARD.search(string) and not reading.reason:
            words = WILDCARDS
        return Flaw(level, reading.reason or words, Suggestion(values) if values else None)

    def _has_unread_command(self, string: str) -> bool:
        """Return whether a line is a command that names something else, of which each word could be such a name."""
        commands = (line.strip() for line in string.splitlines() if container_commands.is_command(line))
        return not all(any((found := step(line)) and found[0] != line for step in self.steps) for line in commands)

    def _problem(self, operator: str, string: str) -> tuple[Level, str] | None:
        text = string.casefold()
        if operator == "matches":
            text = readings.WILDCARD.sub("", text)
        if _RUNTIME_ID.match(text):
            return "error", "This is a container's id, not a name."
        if not self.letters.fullmatch(text):
            return "error", self.words
        if self.place and operator == "equals" and _DOCKER_NAME.fullmatch(text):
            return "warning", "This is Docker's name of it: Kubernetes calls it by the part after k8s_."
        if self.place and operator == "equals" and re.fullmatch(_CONTAINER_ID, text):
            return "warning", "This is a container's id, not a name."
        from_start, to_end = operator in ("equals", "starts_with"), operator in ("equals", "ends_with")
        length = shortest_length(string) if operator == "matches" else len(string)
        is_unusual = not self.usual.fullmatch(text) or length > self.most
        is_possible = language(self.grammar).may_satisfy(operator, string.casefold())
        problems = (
            (to_end and _SERVICE.search(text) is not None, "This is the name of a service in DNS."),
            (is_unusual, f"{self.words} It has at most {self.most} characters."),
            (from_start and text[:1] in ("-", "."), "No name begins with a hyphen or dot."),
            (to_end and text[-1:] in ("-", "."), "No name ends with a hyphen or dot."),
            (operator == "matches" and re.search(r"(?:^|[-_])\.\*", string) is not None, _EXPRESSION),
            (not is_possible, "No name has signs so: a letter or digit is first, last, and on each side of a dot."),
        )
        return next((("warning", words) for is_found, words in problems if is_found), None)

    def _meant(self, operator: str, strings: tuple[str, ...]) -> tuple[Value, ...]:
        values = tuple(self._one_meant(operator, string) for string in strings)
        if len(values) > 1 and ("matches", "*") in values:
            return ()  # of a list that was read wrongly: it would be all of them
        return values if all(self._problem(*value) is None for value in values) else ()

    def _one_meant(self, operator: str, string: str) -> Value:
        if "/" in string:
            parts = [part for part in string.split("/") if part.strip("*")] or [string.strip("/")]
            string = parts[self.place]
        if of_docker := _DOCKER_NAME.fullmatch(string):
            string = of_docker[1 if self is FORMS["container_name"] else 2]
        if operator != "matches" and readings.WILDCARD.search(string):
            return readings.split_pattern(operator, string)
        if operator != "matches" and not self.usual.fullmatch(string.casefold()):
            string = string.replace("_", "-")
        return _without_edge(operator, string)


def _without_edge(operator: str, string: str) -> Value:
    """Return a value whose string begins or ends as no name does, by the operator that was meant."""
    starts, ends = string[:1] in ("-", "."), string[-1:] in ("-", ".")
    if re.match(r"--|-[A-Za-z]$", string):
        return operator, string
    if operator == "matches":
        return operator, f"{'*' if starts else ''}{string}{'*' if ends else ''}"
    if operator == "equals" and starts != ends:
        return ("ends_with" if starts else "starts_with"), string
    if (operator == "starts_with" and starts) or (operator == "ends_with" and ends):
        return "contains", string
    return operator, string


FORMS: Final = {
    "namespace": NameForm(
        "namespace",
        re.compile(r"[a-z0-9._-]*"),
        re.compile(r"[a-z0-9-]*"),
        "A namespace has only letters, digits and hyphens.",
        63,
        0,
        (
            _account_namespace,
            _dns_namespace,
            container_commands.option_of_command("-n", "--namespace"),
            container_commands.namespace_of_command,
        ),
    ),
    "pod_name": NameForm(
        "pod_name",
        re.compile(r"[a-z0-9._-]*"),
        re.compile(r"[a-z0-9.-]*"),
        "A pod's name has only letters, digits, hyphens and dots.",
        253,
        -1,
        (_dns_pod, container_commands.pod_of_command),
    ),
    "container_name": NameForm(
        "container_name",
        re.compile(r"[a-z0-9._-]*"),
        re.compile(r"[a-z0-9._-]*"),
        "A container's name has only letters, digits, hyphens, dots and underscores.",
        255,
        -1,
        (container_commands.option_of_command("-c", "--container"), container_commands.container_of_command),
    ),
}


_CLUSTER_KEY: Final = re.compile(
    r"""^(?:--)?["']?(?:[\w.]+[._])?cluster(?:[._]?name)?["']?\s*(?:==?|:)\s*(?=\S)|^--cluster\s+""", re.IGNORECASE
)


def _cluster_of_id(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^/subscriptions/.*/managedClusters/([^/]+)$", r"\1", string, flags=re.IGNORECASE)
    text = re.sub(r"^(?:.*/)?projects/[^/]+/(?:locations|zones)/[^/]+/clusters/([^/]+)$", r"\1", text)
    return text, "This is an id of the cloud: a cluster has the name that its sensors report."


def _strip_cluster_key(string: str) -> tuple[str, str] | None:
    return readings.strip_quotes(_CLUSTER_KEY.sub("", string)), "The name of the property is not part of the value."


def _strip_list(string: str) -> tuple[str, str] | None:
    return re.sub(r"""^\[\s*(["'])([^"',]+)\1\s*\]$""", r"\2", string), "Brackets are part of the value here."


_FREE_STEPS: Final[tuple[readings.Step, ...]] = (
    readings.strip_blanks,
    wrappings.strip_marks,
    readings.strip_comment,
    readings.strip_end,
    readings.strip_list_mark,
    _strip_list,
    wrappings.strip_operators,
    _strip_cluster_key,
    _cluster_of_id,
    readings.unquote_string,
    readings.unfold_alike_words,
    readings.unfold_regex,
)


def _unfold_pattern(string: str) -> tuple[str, str] | None:
    # A cluster's name may have dots, but hardly one behind a hyphen.
    is_regex = readings.REGEX_OF_PATTERN.search(string) or re.search(r"[-_]\.[*+]", string)
    return readings.unfold_regex(string) if is_regex else None


_PATTERN_STEPS: Final[tuple[readings.Step, ...]] = (*_FREE_STEPS[:-1], _unfold_pattern)


def free_flaw(operator: str, string: str) -> Flaw | None:
    """Return what is suspicious about a value that may have any letters, such as the name of a cluster."""
    string = readings.compact(string)
    if re.match(r"\s*[a-z]+://", string, re.IGNORECASE):
        return Flaw("warning", "This is an address, not a name.")
    several = [each for each in re.split(r"\s*[|;]\s*|,\s+", string.strip().rstrip(",;|")) if each]
    if len(several) > 1 and not re.search(r"[\[({]", string):
        return Flaw(
            "warning", "Each value needs a row of its own.", Suggestion(tuple((operator, one) for one in several))
        )
    reading = readings.read(string, _PATTERN_STEPS if operator == "matches" else _FREE_STEPS)
    is_pattern = operator != "matches" and readings.WILDCARD.search(reading.strings[0]) is not None
    if not reading.reason and not is_pattern:
        return None
    meant = readings.split_pattern(operator, reading.strings[0]) if is_pattern else (operator, reading.strings[0])
    suggestion = None if reading.is_open else Suggestion((meant,))
    return Flaw("warning", reading.reason or WILDCARDS, suggestion)
