"""Which passwords are refused beside those that are too short: the easy to guess and the breached (docs/sign-in.md)."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

logger = logging.getLogger(__name__)

CONTEXT_WORDS: Final = frozenset({"driftwatch", "drift", "sensor", "security", "admin", "owner", "operator", "reader"})
"""What somebody guesses first here, beside the words of the portal's own address."""
MIN_OWN_LETTERS: Final = 5
MAX_LENGTH: Final = 4096
"""Characters: far beyond every password manager. Hashing a longer one costs time, and gains nothing."""
_DIGEST: Final = re.compile(rb"[0-9A-Fa-f]{40}")


class LengthValidator:
    """Refuse passwords beyond MAX_LENGTH."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError for a password that is too long."""
        if len(password) > MAX_LENGTH:
            raise ValidationError(f"A password has at most {MAX_LENGTH} characters.", code="password_too_long")


class GuessablePasswordValidator(CommonPasswordValidator):
    """Refuse a common password or context word that only digits, signs or repetition make long enough.

    `password2026!!`, `Driftwatch-1234` and `qwertyqwerty` are among the first that an attacker tries.
    """

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError for a password that is easy to guess."""
        text = password.casefold()
        core = _core(text)
        is_made_longer = 2 * len(core) >= len(text) and _repeated_part(core) in self.passwords
        if len(set(text)) < 3 or _repeated_part(text) in self.passwords or is_made_longer or _is_context_word(text):
            message = "This password is a common one, or a word of this portal, made longer. Choose another."
            raise ValidationError(message, code="password_guessable")


class BreachedPasswordValidator:
    """Refuse passwords of the list in BREACHED_PASSWORDS_FILE; without the setting none."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError for a breached password, and while the list cannot be read."""
        if not settings.BREACHED_PASSWORDS_FILE:
            return
        try:
            is_breached = is_in_list(password, Path(settings.BREACHED_PASSWORDS_FILE))
        except OSError as error:
            logger.error("BREACHED_PASSWORDS_FILE: %s", error.strerror)  # noqa: TRY400 - one line says it
            message = "Passwords cannot be checked at the moment. Try again later."
            raise ValidationError(message, code="password_unchecked") from None
        if is_breached:
            raise ValidationError("This password has appeared in a data breach.", code="password_breached")


def is_in_list(password: str, file: Path) -> bool:
    """Return whether the file has the password: SHA-1 digests in hex, sorted, one per line, `:COUNT` after them or not.

    Bisected: the list of Have I Been Pwned has about a billion lines. Raises OSError.
    """
    wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
    with file.open("rb") as lines:
        low, high = 0, lines.seek(0, 2)
        # The line wanted begins in low..high.
        while low < high:
            middle = (low + high) // 2
            found = _digest_after(lines, middle)
            if found is None or found >= wanted:
                high = middle
            else:
                low = middle + 1
        return _digest_after(lines, low) == wanted


def list_problem(file: Path) -> str:
    """Return why the file is not such a list, as far as its first line shows; "" if it is."""
    try:
        with file.open("rb") as lines:
            return "" if _DIGEST.match(lines.readline(64)) else "its first line is not a SHA-1 digest in hex"
    except OSError as error:
        return error.strerror or "it cannot be read"


def _digest_after(lines: IO[bytes], offset: int) -> bytes | None:
    """Return the digest of the first line that begins at `offset` or later; None at the end."""
    lines.seek(max(0, offset - 1))
    if offset:
        lines.readline()
    line = lines.readline()
    return line[:40].upper() if line.strip() else None


def _core(text: str) -> str:
    """Return the text without the digits and signs around it."""
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)


def _repeated_part(text: str) -> str:
    """Return the shortest part of which the text consists, such as `ab` of `ababab`; else the text."""
    length = (text + text).find(text, 1)
    return text[:length] if length > 0 else text


def _is_context_word(text: str) -> bool:
    """Return whether a third of the text are context words, and the rest has hardly a letter."""
    rest = text
    for word in sorted(CONTEXT_WORDS | _address_words(), key=len, reverse=True):
        rest = rest.replace(word, "")
    return 3 * len(rest) <= 2 * len(text) and sum(letter.isalpha() for letter in rest) < MIN_OWN_LETTERS


def _address_words() -> set[str]:
    """Return the words of the portal's host name."""
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    return {word for word in re.split(r"[^a-z]+", host.casefold()) if len(word) > 3}
