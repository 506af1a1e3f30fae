"""What was probably meant by a term of a document that is not one of the few that there are, for its error message."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sensor.policy.document_terms import DIGEST_PREFIX, GLOB_PREFIX

_SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    # Properties
    "container_name": ("container",),
    "image_name": ("image", "container image", "container image repository", "container image name", "repository"),
    "namespace": ("ns", "namespaces", "k8s ns name", "kubernetes namespace", "pod namespace"),
    "pod_labels": ("label", "labels", "pod label", "selector", "match labels", "k8s pod label"),
    "pod_name": ("pod", "pods", "k8s pod name"),
    "cluster_name": ("cluster", "clusters"),
    "process_name": ("process", "proc name", "comm", "program", "file name"),
    "process_path": ("path", "exe", "exe path", "proc exepath", "proc exe", "binary", "file path", "executable"),
    "process_sha256": ("sha256", "hash", "digest", "file hash", "checksum"),
    "parent_process": ("parent", "parent name", "proc pname", "ppid", "process parent"),
    "drift_kind": ("kind", "drift", "drift type"),
    "file_image": ("image of the file", "origin image"),
    "written_by": ("writer", "writer path", "written by path"),
    "written_by_name": ("writer name",),
    "written_by_parent": ("writer parent", "writer parent name"),
    "written_in_session": ("writer session",),
    "writer_origin": ("written by origin", "origin"),
    "session": ("process session",),
    # Operators
    "equals": ("=", "==", "is", "eq", "equal", "in", "equal to"),
    "starts_with": ("prefix", "begins with", "start with", "has prefix"),
    "ends_with": ("suffix", "end with", "has suffix"),
    "contains": ("includes", "has", "icontains"),
    "matches": ("glob", "like", "wildcard", "match", "pmatch", "regex", "regexp"),
    # Actions
    "alert": ("warn", "audit", "notify", "warning", "dryrun"),
    "block": ("deny", "prevent", "kill", "enforce"),
    "ignore": ("allow", "exclude", "skip", "exception"),
    # Providers
    "azure": ("microsoft", "az", "aks", "microsoft azure"),
    "aws": ("amazon", "eks", "amazon web services"),
    "gcp": ("google", "gke", "google cloud"),
    # Sessions and origins
    "exec": ("kubectl exec", "docker exec", "interactive", "exec session", "terminal", "shell"),
    "workload": ("container", "entrypoint", "main", "application"),
    "probe": ("liveness", "readiness", "startup", "liveness probe", "readiness probe", "hook"),
    "init": ("init container", "initcontainers"),
    "debug": ("ephemeral", "ephemeral container", "kubectl debug", "debug container"),
    "image": ("container image", "from image"),
    "runtime": ("container runtime", "kubelet"),
    "drift": ("drifted", "new file"),
    # Severities
    "informational": ("info", "information"),
    "medium": ("moderate", "med"),
    "high": ("critical",),
}
"""For a term, what people and other tools call it."""
_ROOTS: Final = "app|bin|boot|data|dev|etc|home|lib|lib64|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var|workspace"


def did_you_mean(meant: str) -> str:
    """Return the end of an error's message; empty where nothing is suggested."""
    return f"; did you mean {meant}?" if meant else ""


def nearest_term(typed: object, terms: Iterable[str]) -> str:
    """Return the term that was probably meant; empty where several could be, or none."""
    if not isinstance(typed, str) or len(typed) > 100:
        return ""
    called = {_squeezed(name): term for term in terms for name in (term, *_SYNONYMS.get(term, ()))}
    if typed.lstrip().startswith("!"):
        return ""  # the opposite is meant
    plain = _squeezed(typed)
    parts = [each for each in re.split(r"\s*[,;|]\s*", typed) if each]
    if len(parts) > 1:
        found = [nearest_term(each, called.values()) for each in parts]
        return f"{' and '.join(dict.fromkeys(found))}, each as a value of its own" if all(found) else ""
    if plain in called:
        return called[plain]
    if re.match("un|non?|not|dis|never", plain):
        return ""  # of two opposites the letters are alike
    import difflib  # sensors, which check valid documents, need not load it

    near = difflib.get_close_matches(plain, [each for each in called if len(each) > 3], n=1, cutoff=0.8)
    return called[near[0]] if near else ""


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold()) or text.strip()


def nearest_entry(typed: str) -> str:
    """Return the allow-list entry that was probably meant by one that is none; empty where that is not certain."""
    from sensor.policy.lint.allow_lists import entry_flaw  # sensors, which check valid documents, need not load it

    meant = _nearest_entry(_undecorated(typed.strip()))
    flaw = entry_flaw(meant) if meant else None
    if flaw is None:
        return meant
    return " and ".join(flaw.suggestion.entries) if flaw.suggestion else ""


def _undecorated(typed: str) -> str:
    """Return a path from the root without quotes, prompts and commands around it; all else as it is."""
    from sensor.policy.lint.command_lines import program_of
    from sensor.policy.lint.files import read_file

    text = re.sub(r"^glob:\s*", GLOB_PREFIX, typed, flags=re.IGNORECASE)
    reading = read_file("equals", text)
    if text.startswith(GLOB_PREFIX) or reading.is_open:
        return text
    path = program_of(reading.strings[0])
    return path if path.startswith("/") else text


def _nearest_entry(typed: str) -> str:
    text = re.sub(r"^(?:[A-Za-z][\w ]*:\s+|file:/*(?=/))", "", typed.strip().strip("\"'`")).strip("\"'`").rstrip(",;")
    digest = re.search(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{64}(?![0-9A-Za-z])", text)
    if digest:
        return DIGEST_PREFIX + digest[0].lower()
    if re.match(r"[~$%!\\]|\.\./|[A-Za-z]:|.*(?:://|\s|@)", text):
        return ""
    if re.match(r"\^|(?:re|regexp?|pattern):|r/", text):
        pattern = re.sub(r"^(?:(?:re|regexp?|pattern):|r/(?=/))?\^?", "", text).removesuffix("$").replace(".*", "*")
        text = f"{GLOB_PREFIX if '*' in pattern else ''}{pattern}"
        return text if re.fullmatch(r"/[\w./*+-]+", pattern) else ""
    return _from_root(text)


def _from_root(text: str) -> str:
    """Return the entry for a path that does not begin at the root."""
    path = text.removeprefix(GLOB_PREFIX).removeprefix("./")
    if path.startswith("-") or re.search(r",(?![^{]*\})", path):
        return ""
    if path.startswith(("/", "~", "$")):
        return text if path.startswith("/") else ""
    if re.match(rf"(?:{_ROOTS})/", path):
        return f"{GLOB_PREFIX if re.search(r'[*?]', path) else ''}/{path}"
    # A first part with a dot or colon is rather a registry.
    is_relative = path.startswith("*/") or re.fullmatch(
        r"[\w+-]+(?:/[\w.+*?-]+)*/?|[\w.+*?-]+(?:\.[A-Za-z]{1,4})", path
    )
    if not is_relative and not text.startswith((GLOB_PREFIX, "./")):
        return ""
    return f"{GLOB_PREFIX}/{'' if path.startswith('*') else '*/'}{path}" + ("*" if path.endswith("/") else "")
