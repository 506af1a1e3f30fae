"""The forms of hashes, kinds of drift and cloud accounts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Final

from sensor.policy.drift_kinds import DRIFT_KINDS, KINDS
from sensor.policy.lint import readings
from sensor.policy.lint.findings import Flaw, Suggestion

HASH: Final = re.compile(r"[0-9a-f]{64}")
_OTHER_HASHES: Final = {32: "MD5", 40: "SHA-1", 56: "SHA-224", 96: "SHA-384", 128: "SHA-512"}
_SYNONYMS: Final = {
    "memfd": "fileless",
    "memory": "fileless",
    "modified": "replaced",
    "modified file": "replaced",
    "changed": "replaced",
    "tampered": "replaced",
    "new": "new_file",
    "new executable": "new_file",
    "dropped": "new_file",
    "copy": "copy_of_image_file",
    "mount": "foreign_mount",
    "configmap": "volume",
    "shared library": "library",
    "ld_preload": "library",
}


def sha256_in(string: str) -> str | None:
    """Return the SHA-256 that a string has in another form: upper case, prefixed, as sha256sum prints it."""
    text = readings.strip_quotes(re.sub(r"\s+|\u200b|\ufeff", " ", string).strip())
    text = re.sub(
        r"^(?:(?:urn:)?sha-?256(?:sum)?|hash|process_sha256|proc\.hash)\s*(?:\([^)]*\))?\s*[:=-]*\s*",
        "",
        text,
        flags=re.I,
    )
    text = re.sub(r"^0x", "", text, flags=re.I)
    found = re.fullmatch(r"([0-9A-Fa-f]{64})(?: [ *]?\S.*)?[,;]?", readings.strip_quotes(text))
    return found[1].lower() if found else None


def other_hash(string: str) -> str | None:
    """Return the name of the hash function, other than SHA-256, that a string is a hash of."""
    text = re.sub(r"^(?:md5|sha-?1|sha-?224|sha-?384|sha-?512)\s*[:=\s]\s*", "", string.strip(), flags=re.I)
    return _OTHER_HASHES.get(len(text)) if re.fullmatch(r"[0-9A-Fa-f]+", text) else None


def sha256_flaw(_operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of a process's SHA-256."""
    if HASH.fullmatch(string):
        return None
    if meant := sha256_in(string):
        words = "A hash is compared in lower case." if meant == string.lower() else "A hash is 64 hexadecimal digits."
        return Flaw("error", words, Suggestion((("equals", meant),)))
    if name := other_hash(string):
        return Flaw("error", f"This is a hash of {name}: files are compared by their SHA-256.")
    return Flaw("error", "A SHA-256 is 64 hexadecimal digits, in lower case.")


def kind_flaw(_operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of the drift kind."""
    if string in KINDS:
        return None
    parts = [each for each in re.split(r"\s*[,;|]\s*|\s+or\s+", string.strip()) if each]
    kinds = [_nearest_kind(each) for each in parts]
    values = tuple(("equals", kind) for kind in dict.fromkeys(kinds) if kind)
    suggestion = Suggestion(values) if values and all(kinds) else None
    return Flaw("error", f"This is not a kind of drift: {', '.join(KINDS)}.", suggestion)


def _nearest_kind(string: str) -> str | None:
    """Return the kind that was probably meant; None where several could be, or none."""
    text = re.sub(r"^drift_?kind\s*[:=]\s*", "", readings.strip_quotes(string.strip()).casefold())
    plain = re.sub(r"[\W_]+", " ", text).strip()
    words: dict[str, str] = {each.name.replace("_", " "): each.name for each in DRIFT_KINDS}
    words |= {each.label.casefold(): each.name for each in DRIFT_KINDS} | _SYNONYMS
    if plain in words:
        return words[plain]
    squeezed = {each.replace(" ", ""): name for each, name in words.items()}
    near = difflib.get_close_matches(plain.replace(" ", ""), squeezed, n=1, cutoff=0.8)
    return squeezed[near[0]] if near else None


def account_flaw(provider: str, account: str) -> Flaw | None:
    """Return what is suspicious about an account: whoever adds an environment chooses its spelling."""
    if readings.WILDCARD.search(account):
        return Flaw("warning", "Accounts have no wildcards: select the whole provider.")
    if readings.has_template(account):
        return Flaw("warning", "A variable or placeholder is not filled in here.")
    plain = readings.strip_quotes((readings.strip_blanks(account) or (account, ""))[0]).rstrip(",;")
    parts = [each for each in re.split(r"[,;]\s*|\s+(?=\w{6})", plain) if each]
    read = [_account_meant(provider, each) for each in parts]
    meant = tuple(spelled for spelled, _ in read if spelled)
    if meant in ((account,), ()):
        return None
    if len(meant) > 1:
        return Flaw("warning", "Each account is an entry of its own.", Suggestion(entries=meant))
    reason = read[0][1] or "It has blanks, quotes or separators around it."
    return Flaw("warning", reason, Suggestion(entries=meant))


_GUID: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_ACCOUNT_FORMS: Final[tuple[tuple[str, str, Callable[[str], str], str], ...]] = (
    ("azure", rf"({_GUID})", str.lower, "Azure writes subscriptions in lower case, and letter case counts."),
    (
        "azure",
        rf"(?:/?subscriptions/|\{{|urn:uuid:)({_GUID})(?:\}}|/.*)?",
        str.lower,
        "A subscription is its id alone.",
    ),
    ("aws", r"arn:[\w-]+:[\w-]*:[\w-]*:(\d{12}):.*", str, "An account is its 12 digits, not an ARN."),
    ("aws", r"(\d{4}-\d{4}-\d{4})", lambda text: text.replace("-", ""), "An account has 12 digits, without hyphens."),
    ("aws", r"(\d{9,11})", lambda text: text.zfill(12), "An account has 12 digits: leading zeros count."),
    ("gcp", r"(?:.*/)?projects/([^/]+)(?:/.*)?", str, "A project is its id alone."),
    ("gcp", r"([A-Za-z][A-Za-z0-9-]{5,29})", str.lower, "A project's id is in lower case, and letter case counts."),
)
"""For a provider and another form of its accounts: how it spells them, and the reason in words."""


def _account_meant(provider: str, text: str) -> tuple[str, str]:
    """Return how the provider spells an account, and the reason in words."""
    for of, form, spelled, words in _ACCOUNT_FORMS:
        if of == provider and (found := re.fullmatch(form, text)):
            return spelled(found[1]), words
    return text, ""
