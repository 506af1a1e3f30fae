"""What `manage.py check --deploy` says of SECRET_KEY."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from django.core import checks
from django.core.checks.registry import registry

from portal.checks import secret_key


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("x", "has 1 characters"),
        ("0123456789abcdef0123456789abcde", "has 31 characters"),
        ("ab" * 40, "has only 2 distinct characters"),
        ("1234567" * 8, "has only 7 distinct characters"),
        ("django-insecure-4f#9v!kq2m7@xz0w5y8bnr3t6u1", "looks like a placeholder"),
        ("CHANGEME-before-you-start-the-portal-0123", "looks like a placeholder"),
        ("please change me, this is the portal 42!", "looks like a placeholder"),
        ("my-very-own-secret_key-for-driftwatch-1", "looks like a placeholder"),
    ],
)
def test_a_secret_key_that_can_be_guessed_is_an_error_of_the_deployment(key: str, said: str, settings: Any) -> None:
    settings.SECRET_KEY = key
    (found,) = secret_key()
    assert (found.level, found.id) == (checks.ERROR, "portal.E002")
    assert said in found.msg
    assert key == "x" or key not in f"{found.msg}{found.hint}"


def test_a_fallback_that_can_be_guessed_is_a_warning_until_the_rotation_has_ended(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = secrets.token_hex(32), ["ab" * 40]
    (found,) = secret_key()
    assert (found.level, found.id) == (checks.WARNING, "portal.W005")
    assert found.msg == "SECRET_KEY_FALLBACK has only 2 distinct characters."
    settings.SECRET_KEY_FALLBACKS = [secrets.token_hex(32)]
    assert secret_key() == []


def test_a_random_key_of_few_distinct_digits_is_none(settings: Any) -> None:
    """Of 32 random hexadecimal digits one key in ten thousand has nine distinct ones or fewer."""
    settings.SECRET_KEY = "40be1b7f9044eb1f47eb0f711e4fb0b7"
    assert len(set(settings.SECRET_KEY)) == 8
    assert secret_key() == []


@pytest.mark.parametrize("make", [lambda: secrets.token_urlsafe(48), lambda: secrets.token_hex(32)])
def test_random_keys_are_none(make: Any, settings: Any) -> None:
    for _ in range(200):
        settings.SECRET_KEY = make()
        assert secret_key() == []


def test_only_a_check_of_the_deployment_looks_at_it() -> None:
    usual, of_deployments = (registry.get_checks(include_deployment_checks=each) for each in (False, True))
    assert any("secret_key" in repr(each) for each in of_deployments)
    assert not any("secret_key" in repr(each) for each in usual)
