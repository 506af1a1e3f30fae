"""The first rows of a demo or an installation, even if the previous start was interrupted."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from accounts.models import ApiToken, User
from drift.fleet.models import EnrolmentToken, Environment
from portal import first_rows

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "demo-credentials.json"


def test_a_demo_has_one_sign_in_per_role_and_keeps_them(file: Path) -> None:
    first_rows.make_demo(file)
    found = json.loads(file.read_text())
    assert set(found) == {"url", "users", "api_token", "enrolment_token"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for user in found["users"]:
        assert User.objects.get(email=user["email"]).check_password(user["password"])
    first_rows.make_demo(file)
    assert json.loads(file.read_text()) == found
    assert (User.objects.count(), ApiToken.objects.count(), Environment.objects.count()) == (4, 1, 4)


def test_an_interrupted_start_is_completed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as cut:
        cut.setattr(first_rows, "_enrolment_token", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            first_rows.make_demo(file)
    first_rows.make_demo(file)
    assert json.loads(file.read_text())["api_token"]
    assert (User.objects.count(), EnrolmentToken.objects.count()) == (4, 4)


def test_an_installation_does_not_become_a_demo(file: Path, tmp_path: Path) -> None:
    first_rows.make_owner(tmp_path / "first-owner.json")
    with pytest.raises(CommandError, match="not a demo"):
        first_rows.make_demo(file)
    assert User.objects.count() == 1


def test_an_owner_is_created_once_with_a_one_time_password(tmp_path: Path) -> None:
    file = tmp_path / "first-owner.json"
    first_rows.make_owner(file)
    shown = json.loads(file.read_text())["users"][0]
    owner = User.objects.get()
    assert owner.check_password(shown["password"]) and owner.must_change_password
    file.unlink()
    first_rows.make_owner(file)
    assert not file.exists()
