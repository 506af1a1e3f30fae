"""The password of the user whose session it is: guesses are limited, wherever it is asked for."""

from __future__ import annotations

from typing import Final

from django import forms

from accounts import rate_limits
from accounts.models import User

WINDOW_SECONDS: Final = 15 * 60
MAX_FAILURES: Final = 10


def check_own_password(user: User, password: str, wrong: str) -> None:
    """Raise ValidationError, with the text `wrong` or because of too many wrong ones, unless it is the password."""
    key = f"own-password:{user.pk}"
    # Counted before it is checked, so that tries at the same time do not slip by.
    if rate_limits.count(key, WINDOW_SECONDS) > MAX_FAILURES:
        raise forms.ValidationError("Too many wrong passwords. Try again in 15 minutes.", code="limited")
    if not user.check_password(password):
        raise forms.ValidationError(wrong, code="wrong")
    rate_limits.uncount(key, WINDOW_SECONDS)
