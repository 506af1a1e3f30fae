"""Replaces secrets on command lines by `***`, before an event is written anywhere (docs/sensor.md#what-is-masked).

What is masked:

1. the value of an option, variable, header or query parameter with a secret name:
   `--password=x`, `--token x`, `DB_PASSWORD=x`, `?api_key=x`, `Authorization: Bearer x`;
2. the user part of a URL: `https://user:x@host`;
3. tokens with a known format: private keys, JSON Web Tokens, those of AWS, GitHub, GitLab, Slack, Stripe;
4. passwords that some programs take as a short option: `mysql -px`, `curl -u user:x`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MASK: Final = "***"

REMEMBERED: Final = 256
"""Command lines whose masked form is cached: a storm of execs repeats one of them."""

SECRET_NAMES: Final = (
    "password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "credentials",
    "apikey", "accesskey", "secretkey", "privatekey", "encryptionkey", "signingkey", "accountkey", "sharedkey",
    "authorization", "cookie", "connectionstring", "clientsecret", "sas",
)  # fmt: skip
"""A name that ends in one of these is secret, ignoring case, `-`, `_` and `.`."""

SECRET_WORDS: Final = ("pass", "pwd", "pw", "auth", "jwt", "bearer", "otp", "pin")
"""A name whose last word is one of these is secret: they are too short to match inside a word (`bypass`)."""

SHORT_OPTIONS: Final = {
    "mysql": "p", "mysqldump": "p", "mysqladmin": "p", "mariadb": "p", "mariadb-dump": "p",
    "sshpass": "p", "redis-cli": "a", "valkey-cli": "a", "mongo": "p", "mongosh": "p", "mongodump": "p",
    "curl": "u", "ldapsearch": "w", "smbclient": "U", "sqlcmd": "P",
}  # fmt: skip
"""Programs and the short option that takes their password, attached or as the next argument."""

_PRIVATE_KEY: Final = r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
_PREFIXED: Final = (
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abeoprs]-[\w-]{10,}|[rs]k_live_\w{16,}"
)
_KNOWN_TOKENS: Final = re.compile(
    rf"{_PRIVATE_KEY}.*|{_PREFIXED}"
    r"|eyJ[\w-]{8,}+\.[\w-]{8,}(?:\.[\w-]*)?"
    rf"|(?P<none>eyJ(?:(?!{_PRIVATE_KEY})[\w-])*+)",
    re.DOTALL,
)
"""`none`: starts like a JSON Web Token and is not one. Matched as a whole, so that scanning stays linear: no part of
it can be a token either."""
_IN_NONE: Final = re.compile(_PREFIXED)
_URL_USER: Final = re.compile(r"(\b[a-zA-Z][\w+.-]{0,20}://)[^\s/@'\"?#]{1,512}@")
_URL_USER_CUT: Final = re.compile(r"(\b[a-zA-Z][\w+.-]{0,20}://)[^\s/@'\"?#]{1,512}$")
_PREFIXED_CUT: Final = re.compile(r"(?:AKIA|ASIA|gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|[rs]k_live_)[\w-]*$")
_BEARER: Final = re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{6,}")
_NAMED: Final = re.compile(
    r"""(?x)
    (?<![\w.-]) [.-]* (?P<name>\w[\w.-]{0,255})
    ["']?\s{0,4}[=:]\s{0,4} (?=[^\s&;,])
    """
)
_NAMED_VALUE: Final = re.compile(r"""(?i)"[^"]*"?|'[^']*'?|(?:(?:bearer|basic|token)\s+)?[^\s&;,'"]+""")
_SPACED: Final = re.compile(r"""(?<!\S)(?P<name>--?[A-Za-z][\w.-]{1,63})\s+(?=[^\s-])""")
_SPACED_VALUE: Final = re.compile(r""""[^"]*"?|'[^']*'?|\S+""")
_PAIR_OR_WORDS: Final = re.compile(r"[=:\s]")
_ASSIGNMENT: Final = re.compile(r"-{0,2}(?P<name>[A-Za-z][\w.-]{0,63})(?:=|\s{0,4}:\s{0,4})")


class Masker:
    """Replaces the secrets in argv. `extra_names` adds to the secret names."""

    def __init__(self, extra_names: Iterable[str] = ()) -> None:
        self._names = (*SECRET_NAMES, *(_plain(name) for name in extra_names if _plain(name)))
        self._known = functools.lru_cache(REMEMBERED)(self._mask)

    def mask(self, argv: list[str], *, truncated: bool = False) -> list[str]:
        """Return argv with secrets replaced; `truncated`: its last item may be cut short."""
        return list(self._known(tuple(argv), truncated))

    def _mask(self, argv: tuple[str, ...], truncated: bool) -> list[str]:  # noqa: FBT001 - a key of the cache
        masked = [
            self._mask_item(item, command=before.startswith("-") and before.endswith("c"))
            for before, item in zip(["", *argv], argv, strict=False)
        ]
        for position, item in enumerate(argv[:-1]):
            if self._names_a_secret_option(item) and not argv[position + 1].startswith("--"):
                masked[position + 1] = MASK
        self._mask_short_option(argv, masked)
        if truncated and masked:
            masked[-1] = _URL_USER_CUT.sub(rf"\1{MASK}", _PREFIXED_CUT.sub(MASK, masked[-1]))
        return masked

    def _mask_item(self, item: str, *, command: bool) -> str:
        """Mask one argument; `command`: it is a shell command, as for `sh -c`, with more text after a value."""
        if not _PAIR_OR_WORDS.search(item):
            # Most arguments: neither a name with its value, nor a URL, nor several words.
            return _KNOWN_TOKENS.sub(_mask_token, item)
        found = _ASSIGNMENT.match(item)
        if found and not command and self.is_secret(found["name"]):
            return found[0] + MASK
        item = _URL_USER.sub(rf"\1{MASK}@", item)
        item = _KNOWN_TOKENS.sub(_mask_token, item)
        item = self._mask_named(_NAMED, _NAMED_VALUE, item)
        if " " in item:
            item = self._mask_named(_SPACED, _SPACED_VALUE, item)
        return _BEARER.sub(rf"\1{MASK}", item)

    def _mask_named(self, named: re.Pattern[str], value: re.Pattern[str], item: str) -> str:
        """Mask the values of secret names; the value of another name may itself contain such a pair.

        The extent of a value is only searched for secret names: in `a=a=a=…` each value extends to the end, and
        searching for each name would be quadratic.
        """
        parts, position = [], 0
        while found := named.search(item, position):
            parts.append(item[position : found.end()])
            position = found.end()
            if self.is_secret(found["name"]) and (secret := value.match(item, position)):
                parts.append(MASK)
                position = secret.end()
        return "".join([*parts, item[position:]])

    def is_secret(self, name: str) -> bool:
        """Return whether an option, variable or header of this name holds a secret."""
        if _plain(name).endswith(self._names):
            return True
        words = re.split(r"[-_.]+", name.strip("-_."))
        return words[-1].lower() in SECRET_WORDS and name != "PWD"

    def _names_a_secret_option(self, item: str) -> bool:
        return item.startswith("-") and "=" not in item and " " not in item and self.is_secret(item)

    def _mask_short_option(self, argv: Sequence[str], masked: list[str]) -> None:
        letter = SHORT_OPTIONS.get(argv[0].rsplit("/", 1)[-1]) if argv else None
        if letter is None:
            return
        for position, item in enumerate(argv[1:], start=1):
            if item == f"-{letter}" and position + 1 < len(argv):
                masked[position + 1] = MASK
            elif item.startswith(f"-{letter}") and len(item) > 2:
                masked[position] = f"-{letter}{MASK}"


def _mask_token(found: re.Match[str]) -> str:
    return MASK if found["none"] is None else _IN_NONE.sub(MASK, found["none"])


def _plain(name: str) -> str:
    return re.sub(r"[-_.\s]", "", name).lower()
