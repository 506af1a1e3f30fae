"""The forms of hashes and kinds of drift."""

from __future__ import annotations

import base64
import difflib
import re
from typing import Final

from sensor.policy.drift_kinds import DEFAULT_DETECT, DRIFT_KINDS, KINDS
from sensor.policy.lint import readings
from sensor.policy.lint.findings import Flaw, Suggestion

HASH: Final = re.compile(r"[0-9a-f]{64}")
_HASHES: Final = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{64}(?![0-9A-Za-z])")
_GROUPS: Final = re.compile(r"(?:[0-9A-Fa-f]{2,32}[ :-]){1,31}[0-9A-Fa-f]{2,32}")
_NO_CONTENT: Final = (
    (
        re.compile(r"@sha-?256[:-]", re.I),
        "This is the digest of an image: files are compared by the SHA-256 of their content.",
    ),
    (
        re.compile(
            r"^(?:b2|b3|blake\w*|sha3(?:-256)?|sha512/256|sm3|md5|ssdeep|tlsh|imphash|authentihash)\s*[:=-]", re.I
        ),
        "This is a hash of another function: files are compared by their SHA-256.",
    ),
)
"""What has 64 digits and is not a file's SHA-256, with the reason in words."""
_BASE64: Final = re.compile(r"(?:sha256-)?([A-Za-z0-9+/]{43})=")
_OTHER_HASHES: Final = {32: "MD5", 40: "SHA-1", 56: "SHA-224", 96: "SHA-384", 128: "SHA-512"}
_SYNONYMS: Final = {
    "memfd": "fileless",
    "memfd create": "fileless",
    "fileless execution": "fileless",
    "fileless execution via memfd create": "fileless",
    "drop and execute new binary in container": "new_file",
    "foreign": "foreign_mount",
    "shebang": "script",
    "script file": "script",
    "libraries": "library",
    "python interpreter": "interpreter",
    "tampering": "replaced",
    "lib": "library",
    "ld linux": "loader",
    "dynamic linker": "loader",
    "renamed": "new_file",
    "downloaded": "new_file",
    "binary drift detected": "new_file",
    "emptydir": "volume",
    "secret": "volume",
    "hostpath": "volume",
    "bash script": "script",
    "library injection": "library",
    "memory": "fileless",
    "in memory": "fileless",
    "memory file": "fileless",
    "in memory file": "fileless",
    "fileless malware": "fileless",
    "overwritten": "replaced",
    "created": "new_file",
    "dropped file": "new_file",
    "new binary": "new_file",
    "mounted": "volume",
    "config map": "volume",
    "pvc": "volume",
    "shared object": "library",
    "so": "library",
    "ld so": "loader",
    "shell script": "script",
    "python": "interpreter",
    "python script": "interpreter",
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
    text = re.sub(r"^https?://\S+?/([0-9A-Fa-f]{64})(?:/.*)?$", r"\1", text)
    if _GROUPS.fullmatch(text):
        text = re.sub(r"[ :-]", "", text)
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
    if readings.is_negated(string):
        return Flaw("error", readings.NEGATED)
    words, meant = _sha256_meant(readings.compact(string))
    return Flaw("error", words, Suggestion(tuple(("equals", each) for each in meant)) if meant else None)


def _sha256_meant(string: str) -> tuple[str, list[str]]:
    """Return what is wrong, and the hashes in a string that is not one."""
    if words := next((words for form, words in _NO_CONTENT if form.search(string)), ""):
        return words, []
    if encoded := _BASE64.fullmatch(string.strip()):
        return "A hash is written in hexadecimal digits here.", [base64.b64decode(f"{encoded[1]}=").hex()]
    several = list(dict.fromkeys(each.lower() for each in _HASHES.findall(string)))
    if len(several) > 1:
        return "Each value needs a row of its own.", several
    if meant := sha256_in(string):
        return "A hash is compared in lower case." if meant == string.lower() else "A hash is 64 hexadecimal digits.", [
            meant
        ]
    if name := other_hash(string):
        return f"This is a hash of {name}: files are compared by their SHA-256.", []
    return "A SHA-256 is 64 hexadecimal digits, in lower case.", several


def kind_flaw(_operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of the drift kind."""
    if string in KINDS:
        return None
    string = readings.compact(string)
    if re.fullmatch(r"\*|all|any|drift|binary ?drift|all kinds", string.strip(), re.I):
        every = Suggestion(tuple(("equals", kind) for kind in DEFAULT_DETECT))
        return Flaw("error", "Every kind: leave this condition out, or name the kinds.", every)
    if readings.is_negated(string):
        return Flaw("error", readings.NEGATED)
    parts = [each for each in re.split(r"\s*[,;|\n]\s*|\s+or\s+", string.strip()) if each]
    kinds = [_nearest_kind(each) for each in dict.fromkeys(parts)]
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
