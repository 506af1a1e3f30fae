"""The forms of cloud accounts, and what is pasted for them: ARNs, resource ids, service accounts, registries."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sensor.policy.lint import readings
from sensor.policy.lint.findings import Flaw, Suggestion

_GUID: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_PROJECT: Final = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
_ALONE: Final = {
    "azure": "A subscription is its id alone.",
    "aws": "An account is its 12 digits alone.",
    "gcp": "A project is its id alone.",
}
_Form = tuple[str, str, Callable[[str], str], str]


def _hyphenated(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).lower()


def _project(name: str) -> str:
    return name.lower().replace("_", "-")


_FORMS: Final[tuple[_Form, ...]] = (
    ("azure", rf"({_GUID})", str.lower, "Azure writes subscriptions in lower case, and letter case counts."),
    ("azure", rf"(?:/?subscriptions/|\{{|urn:uuid:)({_GUID})(?:\}}|/.*)?", str.lower, _ALONE["azure"]),
    ("azure", r"([0-9A-Fa-f]{32})", _hyphenated, "A subscription's id has hyphens."),
    (
        "aws",
        r"arn:[\w-]+:organizations::\d{12}:account/[\w-]+/(\d{12})",
        str,
        "An account is its 12 digits, not an ARN.",
    ),
    ("aws", r"arn:[\w-]+:[\w-]*:[\w-]*:(\d{12}):.*", str, "An account is its 12 digits, not an ARN."),
    ("aws", r"((?:\d-?){11}\d)", lambda text: text.replace("-", ""), "An account has 12 digits, without hyphens."),
    (
        "aws",
        r"(\d{3} \d{3} \d{3} \d{3})",
        lambda text: text.replace(" ", ""),
        "An account has 12 digits, without blanks.",
    ),
    ("aws", r"(\d{9,11})", lambda text: text.zfill(12), "An account has 12 digits: leading zeros count."),
    ("gcp", r"(?:.*/)?projects?/([^/]+)(?:/.*)?", str, _ALONE["gcp"]),
    ("gcp", rf"(?:[\w.-]+@)?({_PROJECT})\.iam\.gserviceaccount\.com", str, _ALONE["gcp"]),
    ("gcp", r"(?:https?://)?(?:[a-z]+\.)?gcr\.io/([^/]+)(?:/.*)?", str, _ALONE["gcp"]),
    ("gcp", r"(?:https?://)?[\w-]+\.pkg\.dev/([^/]+)(?:/.*)?", str, _ALONE["gcp"]),
    ("gcp", rf"gke_({_PROJECT})_[a-z0-9-]+_.+", str, "This is a cluster of GKE: an account is its project."),
    ("gcp", r"([A-Za-z][A-Za-z0-9_-]{5,29})", _project, "A project's id has lower-case letters, digits and hyphens."),
)
"""For a provider and another form of its accounts: how it spells them, and the reason in words."""
_IDS: Final = {
    "azure": re.compile(rf"(?<![0-9A-Za-z-]){_GUID}(?![0-9A-Za-z-])"),
    "aws": re.compile(r"(?<![0-9A-Za-z-])\d{12}(?![0-9A-Za-z-])"),
}
"""What an account is certainly, wherever it stands in a longer text."""
_DEAD: Final = (
    ("aws", re.compile(r"\d{13,}"), "An account of AWS has 12 digits."),
    ("aws", re.compile(_GUID), "This is a subscription of Azure."),
    ("aws", re.compile(r"(?:ou|o|r)-[a-z0-9]{4,}(?:-[a-z0-9]+)?"), "Name the accounts: a rule knows no organizations."),
    ("aws", re.compile(r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}"), "This is the id of a key or user, not an account."),
    ("aws", re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.I), "A spreadsheet has rounded this account: type its 12 digits."),
    ("gcp", re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.I), "A spreadsheet has rounded this number: type all its digits."),
    (
        "azure",
        re.compile(rf"(?!{_GUID}$)(?=.*\d)(?=[^-]*-[^-]*-[^-]*-[^-]*-)[0-9A-Fa-f-]{{30,44}}"),
        "A subscription's id has 8, 4, 4, 4 and 12 digits.",
    ),
    (
        "azure",
        re.compile(r"[\w.+-]+@[\w.-]+|[\w-]+\.onmicrosoft\.com"),
        "This is a user or tenant: name the subscription.",
    ),
    ("gcp", re.compile(r"[a-z][a-z0-9-]{4,28}-"), "A project's id ends with a letter or digit."),
    ("gcp", re.compile(_GUID), "This is a subscription of Azure."),
    ("gcp", re.compile(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}"), "This is a billing account: name the projects."),
    ("azure", re.compile(r"\d{12}"), "This is an account of AWS."),
    ("azure", re.compile(r"/?subscriptions/?"), "A subscription is its id alone."),
    ("azure", re.compile(r"[0-]{36}"), "A variable or placeholder is not filled in here."),
    ("gcp", re.compile(r"(?:organizations|folders|billingAccounts)/.*"), "Name the projects: a rule knows no folders."),
)
_KEY: Final = re.compile(
    r"(?<![\w-])(?:--)?(?:aws|azure|gcp|account|subscription|project)(?:[ _-]?(?:id|number|name))?\s*[:=]\s*(?=\S)|"
    r"--(?:account|subscription|project)\s+(?=\S)",
    re.IGNORECASE,
)


def account_flaw(provider: str, account: str) -> Flaw | None:
    """Return what is suspicious about an account: whoever adds an environment chooses its spelling."""
    typed = readings.compact(account)
    if readings.WILDCARD.search(account):
        return Flaw("warning", "Accounts have no wildcards: select the whole provider.")
    if readings.has_template(account):
        return Flaw("warning", "A variable or placeholder is not filled in here.")
    typed = readings.strip_quotes((readings.strip_blanks(typed) or (typed, ""))[0]).rstrip(",;")
    plain = _KEY.sub("", typed, count=1)
    for of, form, words in _DEAD:
        if of == provider and form.fullmatch(plain):
            return Flaw("warning", words)
    parts = _parts(provider, plain)
    read = [_account_meant(provider, each) for each in parts]
    meant = tuple(dict.fromkeys(spelled for spelled, _ in read if spelled))
    if meant in ((account,), ()):
        return None
    if len(meant) > 1:
        return Flaw("warning", "Each account is an entry of its own.", Suggestion(entries=meant))
    around = _ALONE[provider] if parts != [typed] else "It has blanks, quotes or separators around it."
    return Flaw("warning", read[0][1] or around, Suggestion(entries=meant))


def _parts(provider: str, text: str) -> list[str]:
    """Return the accounts of a list, or the ids in a longer text."""
    if _form(provider, text):
        return [text]
    ids = _IDS[provider].findall(text) if provider in _IDS else []
    parts = [each for each in re.split(r"[,;]\s*|\s+(?=\w{6})", text) if each]
    # A name may have blanks; what has digits in each part is rather a list.
    return ids or (parts if "," in text or ";" in text or all(re.search(r"\d|-", each) for each in parts) else [text])


def _form(provider: str, text: str) -> tuple[re.Match[str], Callable[[str], str], str] | None:
    for of, form, spelled, words in _FORMS:
        if of == provider and (found := re.fullmatch(form, text)):
            return found, spelled, words
    return None


def _account_meant(provider: str, text: str) -> tuple[str, str]:
    """Return how the provider spells an account, and the reason in words."""
    read = _form(provider, text)
    spelled = read[1](read[0][1]) if read else text
    return spelled, read[2] if read and spelled != text else ""
