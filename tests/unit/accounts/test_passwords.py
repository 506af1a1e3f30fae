"""Which passwords can be chosen, and that they are taken as they were typed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.passwords import MAX_LENGTH, is_in_list, list_problem
from portal.checks import breached_passwords
from tests.conftest import PASSWORD

CHOSEN = "  tidal Lantern 9 "


@pytest.mark.parametrize(
    "password",
    [
        "elevenchars",
        "password1234",
        "Password2026!!",
        "qwertyqwerty",
        "123456123456",
        "abababababab",
        "aaaaaaaaaaaaaa",
        "Driftwatch-1234",
        "driftwatchdriftwatch",
        "admin-sensor-2026",
        "2026securityadmin",
        "portal.example.1",
        "x" * (MAX_LENGTH + 1),
    ],
)
def test_a_password_that_is_short_common_or_of_this_portals_words_is_refused(password: str, settings: object) -> None:
    settings.PUBLIC_URL = "https://portal.example.com"  # type: ignore[attr-defined]
    with pytest.raises(ValidationError):
        validate_password(password)


@pytest.mark.parametrize(
    "password",
    [
        "tidal lantern nine",
        "847261950375",
        "8f$92-71#55x",
        "ünïcödé-пароль-密码",
        "drift of the river in May",
        "a8x-admin-93kq2#",
        "7361-92-alice-55",
        "correct horse battery staple",
        "k" + 63 * "9x",
        "tidal " * 600,
    ],
)
def test_any_other_password_of_twelve_characters_is_accepted(password: str) -> None:
    validate_password(password)


@pytest.mark.parametrize("password", ["mara.quill@exam", "Mara-Quillfeather"])
def test_a_password_made_of_the_users_address_or_name_is_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, User(email="mara.quill@example.com", name="Mara Quillfeather"))


def _list(path: Path, passwords: list[str], end: str = ":3\r\n") -> Path:
    lines = sorted(hashlib.sha1(each.encode(), usedforsecurity=False).hexdigest().upper() for each in passwords)
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode())
    return path


@pytest.mark.parametrize("end", [":3\r\n", ":1234567\n", "\n"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 500])
def test_every_password_of_the_list_is_found_and_no_other(tmp_path: Path, count: int, end: str) -> None:
    known = [f"known password {number}" for number in range(count)]
    file = _list(tmp_path / "list", known, end)
    assert [each for each in known if not is_in_list(each, file)] == []
    assert [number for number in range(300) if is_in_list(f"another password {number}", file)] == []


def test_a_list_whose_last_line_has_no_end_is_read_to_its_end(tmp_path: Path) -> None:
    known = [f"known password {number}" for number in range(20)]
    file = _list(tmp_path / "list", known)
    file.write_bytes(file.read_bytes().rstrip())
    assert all(is_in_list(each, file) for each in known)


def test_a_breached_password_is_refused_and_while_the_list_is_away_every_one(tmp_path: Path, settings: object) -> None:
    file = _list(tmp_path / "list", ["tidal lantern nine"])
    settings.BREACHED_PASSWORDS_FILE = str(file)  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="data breach"):
        validate_password("tidal lantern nine")
    validate_password("tidal lantern ten")
    file.unlink()
    with pytest.raises(ValidationError, match="Try again later"):
        validate_password("tidal lantern ten")


def test_the_check_of_a_deployment_reports_a_list_that_cannot_be_used(tmp_path: Path, settings: object) -> None:
    assert breached_passwords() == []
    wrong = tmp_path / "wrong"
    for text in (None, "password1\n", ""):
        if text is not None:
            wrong.write_text(text)
        settings.BREACHED_PASSWORDS_FILE = str(wrong)  # type: ignore[attr-defined]
        assert len(breached_passwords()) == 1
    assert list_problem(_list(wrong, ["tidal lantern nine"])) == ""


@pytest.mark.services
@pytest.mark.django_db
def test_a_password_is_stored_with_the_spaces_that_were_typed(reader: User) -> None:
    browser = Client()
    browser.force_login(reader)
    form = {"old_password": PASSWORD, "new_password": CHOSEN, "again": CHOSEN}
    assert browser.post(reverse("accounts:password"), form).status_code == 302
    reader.refresh_from_db()
    assert reader.check_password(CHOSEN)
    assert not reader.check_password(CHOSEN.strip())
    signed_in = Client().post(reverse("account_login"), {"username": reader.email, "password": CHOSEN})
    assert signed_in.status_code == 302
    # And the form that changes it takes the old one the same way.
    form = {"old_password": CHOSEN, "new_password": "harbour clock seven", "again": "harbour clock seven"}
    assert browser.post(reverse("accounts:password"), form).status_code == 302
