"""The forms of allow-list entries: file names, paths, patterns and hashes."""

from __future__ import annotations

import posixpath
import re
from typing import Final

from sensor.policy.document_terms import DIGEST_PREFIX, GLOB_PREFIX
from sensor.policy.lint import readings
from sensor.policy.lint.command_lines import ARGUMENTS
from sensor.policy.lint.contents import other_hash, sha256_in
from sensor.policy.lint.files import DIRECTORIES, NO_FOLDER, path_flaw, suspicious
from sensor.policy.lint.findings import Flaw, Level, Suggestion
from sensor.policy.lookup_tables import entry_kind

_FORMS: Final = {
    "equals": "{}",
    "matches": "{}",
    "starts_with": "{}*",
    "ends_with": "*{}",
    "contains": "*{}*",
}
"""The pattern that means the same as an operator."""
_WILDCARDS: Final = f"Wildcards are compared as they are: a pattern begins with {GLOB_PREFIX}/."


_NO_NAMES: Final = (
    (re.compile(r"\.{1,2}"), "This is a directory, not a file."),
    (re.compile(r'[\[{]\s*".*', re.DOTALL), "This is JSON: only its values belong here."),
    (
        re.compile(r"(?:p?pid|[ug]id|user)\s*[:=]\s*\w+"),
        "Files are compared, not the processes or users that run them.",
    ),
    (
        re.compile(r"[a-z0-9][a-z0-9._-]*:(?:latest|v?\d+\.\d[\w.-]*)"),
        "This is an image: conditions name it, a list has files.",
    ),
    (
        re.compile(r"(?:ssdeep|tlsh|imphash|telfhash|authentihash)\s*[:=].*", re.I),
        "Files are compared by their SHA-256.",
    ),
)
"""What is pasted for a file's name and is another thing, with the reason in words."""


def entry_flaw(entry: str) -> Flaw | None:
    """Return what is wrong with an entry, None where it may match."""
    flaw = _entry_flaw(entry)
    if flaw is None or flaw.suggestion is None:
        return flaw
    entries: list[str] = []
    for each in flaw.suggestion.entries:
        # What is left in it, such as braces, is another finding.
        again = _entry_flaw(each) if each != entry else Flaw("warning", "")
        entries += [each] if again is None else again.suggestion.entries if again.suggestion else []
        if again and (not again.suggestion or any(map(_entry_flaw, again.suggestion.entries))):
            return Flaw(flaw.level, flaw.message)
    return Flaw(flaw.level, flaw.message, Suggestion(entries=tuple(dict.fromkeys(entries))))


def _entry_flaw(entry: str) -> Flaw | None:
    kind, key = entry_kind(entry)
    if kind == "digest":
        return None
    if re.match(r"/?memfd:", entry):
        return Flaw("warning", f"Programs in memory have no file: only {DIGEST_PREFIX}… matches them.")
    if kind == "glob":
        return _of_pattern(path_flaw("matches", key))
    return _hash_flaw(entry) or (_path_flaw(entry) if kind == "path" else _name_flaw(entry))


def _name_flaw(entry: str) -> Flaw | None:
    if entry.startswith(GLOB_PREFIX):
        return _name_pattern(entry.removeprefix(GLOB_PREFIX), f"A pattern is compared with a path: {GLOB_PREFIX}/….")
    if not entry.strip("*"):
        return Flaw("warning", _WILDCARDS, Suggestion(entries=(f"{GLOB_PREFIX}/*",)))
    flaw = suspicious("equals", entry)
    if flaw is None:
        return next((Flaw("warning", words) for form, words in _NO_NAMES if form.fullmatch(entry)), None)
    if readings.WILDCARD.search(entry) and not re.search(r"\s", entry.strip()):
        unfolded = readings.unfold_regex(entry.strip())
        return _name_pattern(unfolded[0] if unfolded else entry.strip(), _WILDCARDS)
    return Flaw(flaw.level, flaw.message, _as_entries(flaw.suggestion))


def _hash_flaw(entry: str) -> Flaw | None:
    if meant := sha256_in(entry):
        words = f"A hash begins with {DIGEST_PREFIX}, with 64 digits in lower case."
        return Flaw("warning", words, Suggestion(entries=(f"{DIGEST_PREFIX}{meant}",)))
    if name := other_hash(entry):
        return Flaw("warning", f"This is a hash of {name}: files are compared by their SHA-256.")
    return None


def _path_flaw(entry: str) -> Flaw | None:
    if entry.rstrip("*").endswith("/") or entry in DIRECTORIES:
        # A directory, or all that is in it.
        stem = posixpath.normpath(re.sub(r"^/{2,}", "/", entry.rstrip("*"))).rstrip("/")
        level: Level = "warning" if entry.endswith("*") or entry in DIRECTORIES else "error"
        words = _WILDCARDS if entry.endswith("*") else NO_FOLDER
        # Whoever typed / alone did not ask to list every file.
        meant = Suggestion(entries=(f"{GLOB_PREFIX}{stem}/*",)) if entry != "/" else None
        return Flaw(level, words, meant)
    flaw = path_flaw("equals", entry)
    if flaw is None:
        return None
    if readings.WILDCARD.search(entry) and flaw.message != ARGUMENTS:
        unfolded = readings.unfold_regex(entry)
        pattern = posixpath.normpath(re.sub(r"\*{2,}(?:/\*+)?", "*", (unfolded or (entry,))[0]))
        usable = path_flaw("matches", pattern) is None and not re.search(r"[\\^|()]", pattern)
        return Flaw(flaw.level, _WILDCARDS, Suggestion(entries=(f"{GLOB_PREFIX}{pattern}",)) if usable else None)
    return Flaw(flaw.level, flaw.message, _as_entries(flaw.suggestion))


def _name_pattern(pattern: str, words: str) -> Flaw:
    """Return the finding of a pattern of names: `*.sh` is exactly `glob:/*.sh`; any other has no such form."""
    if not pattern.strip("*"):
        return Flaw("warning", words, Suggestion(entries=(f"{GLOB_PREFIX}/*",)))
    end = pattern.lstrip("*")
    is_suffix = pattern.startswith("*") and end and not readings.WILDCARD.search(end)
    return Flaw("warning", words, Suggestion(entries=(f"{GLOB_PREFIX}/*{end}",)) if is_suffix else None)


def _of_pattern(flaw: Flaw | None) -> Flaw | None:
    """Return the finding of a value of `matches` as one of a pattern in a list."""
    if flaw is None:
        return None
    values = flaw.suggestion.values if flaw.suggestion else ()
    patterns = [_FORMS[operator].format(string) for operator, string in values]
    usable = patterns and all(pattern.startswith("/") for pattern in patterns)
    entries = tuple(f"{GLOB_PREFIX}{pattern}" for pattern in patterns)
    return Flaw(flaw.level, flaw.message, Suggestion(entries=entries) if usable else None)


def _as_entries(suggestion: Suggestion | None) -> Suggestion | None:
    """Return a suggestion for a condition as one for a list; None where an entry cannot say it."""
    if suggestion is None or any(operator != "equals" for operator, _ in suggestion.values):
        return None
    return Suggestion(entries=tuple(string for _, string in suggestion.values))
