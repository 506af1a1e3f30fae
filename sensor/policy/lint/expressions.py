"""Conditions and rows of tables that are pasted for one value: what of them is the value.

Conditions are those of Falco, StackRox, Gatekeeper, CEL, PromQL, KQL, Sigma and SQL. One that says how to compare
becomes a pattern with `*`, from which the operator follows.
"""

from __future__ import annotations

import re
from typing import Final

_CONDITION: Final = "This is a condition of another tool: only its value belongs here."
_ROW: Final = "This is a row of a table: only one of its columns belongs here."
_FIELD: Final = r"[%$]?[A-Za-z_][\w.\[\]-]*"
_WORDS: Final = (
    r"starts?[ _]?with|begins?[ _]?with|has[ _]?prefix|ends?[ _]?with|has[ _]?suffix|i?contains|includes|"
    r"i?like|i?glob|pmatch|re[ _]?match|regex|matches|equals|is|eq"
)
_CALL: Final = re.compile(
    rf"""(?:{_FIELD}\s*\.\s*)?(?:regex\.|glob\.)?({_WORDS}|match)\s*\([^"']*(["'])((?:(?!\2).)+)\2.*\)""", re.I | re.S
)
"""`startswith(container.image, "nginx")`, `object.metadata.namespace.startsWith("kube-")`."""
_INFIX: Final = re.compile(rf"(?:({_FIELD})\s*[\s|]\s*|\|)?({_WORDS})\s*:?\s+(\S.*)", re.I | re.S)
"""`proc.name startswith python`, `Image|endswith: '/curl'`."""
_COMPARED: Final = re.compile(
    rf"(?=[\w.$%\[\]-]*(?:ns|name|pod|container|image|proc|cluster|k8s))({_FIELD})\s*(?:===?|=~|:=)\s*(\S.*)|(?:===?|=~|=)\s*(\S.*)",
    re.S | re.I,
)
"""`input.review.object.metadata.namespace == "kube-system"`, `= kube-system`."""
_QUOTED_COMPARISON: Final = re.compile(rf"""{_FIELD}\s*(?:===?|=~|:=)\s*(["'])(.+)\1""", re.S)
_WORDED: Final = re.compile(
    r"""(starts?_?with|begins?_?with|ends?_?with|i?contains|i?like|matches|regex|pmatch|i?glob)\s+["']?([^\s"']+)["']?""",
    re.I,
)
"""`contains curl`; a file may be called `is x` or `equals x`."""
_QUOTED: Final = re.compile(r"""(["'`]).*\1""", re.S)


def unfold_condition(string: str) -> tuple[str, str] | None:
    """A condition, as its value or pattern."""
    if called := _CALL.fullmatch(string):
        return _pattern(called[1], called[3]), _CONDITION
    if (infix := _INFIX.fullmatch(string)) and (infix[1] or _QUOTED.fullmatch(infix[3])):
        return _pattern(infix[2], infix[3]), _CONDITION
    if compared := _COMPARED.fullmatch(string):
        return _unquoted(compared[2] or compared[3]), _CONDITION
    return None


def unfold_call(string: str) -> tuple[str, str] | None:
    """A condition whose form no name has: a call, a comparison with a string in quotes, a word that compares."""
    if called := _CALL.fullmatch(string):
        return _pattern(called[1], called[3]), _CONDITION
    if quoted := _QUOTED_COMPARISON.fullmatch(string):
        return quoted[2], _CONDITION
    if worded := _WORDED.fullmatch(string):
        return _pattern(worded[1], worded[2]), _CONDITION
    return None


def _pattern(word: str, value: str) -> str:
    """Return the value with the wildcards that a word for a comparison means."""
    plain, text = re.sub(r"[ _]", "", word.casefold()), _unquoted(value)
    if re.match("start|begin|hasprefix", plain):
        return f"{text}*"
    if re.match("end|hassuffix", plain):
        return f"*{text}"
    return f"*{text}*" if plain in {"contains", "icontains", "includes"} else text


def _unquoted(value: str) -> str:
    text = value.strip()
    return text[1:-1] if _QUOTED.fullmatch(text) else text


def first_column(string: str) -> tuple[str, str] | None:
    """A row of `kubectl get` or `docker ps`: columns are at least two blanks apart."""
    return re.sub(r"^(\S+)(?: {2,}|\t).*$", r"\1", string), _ROW
