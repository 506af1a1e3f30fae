"""Owners manage users; one of them always stays Owner."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.actions.users import change_user
from accounts.errors import LastOwnerError
from accounts.models import AuditEntry, User
from accounts.roles import Role

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def test_a_new_user_gets_a_one_time_password_shown_once(owner: Any, client_of: Callable[[Any], Client]) -> None:
    browser = client_of(owner)
    page = browser.post(reverse("accounts:users"), {"email": "new@example.com", "name": "New", "role": "reader"})
    user = User.objects.get(email="new@example.com")
    shown = page.context["added"][1]
    assert user.check_password(shown) and user.must_change_password
    assert shown not in browser.get(reverse("accounts:users")).content.decode()


def test_the_same_email_in_another_case_is_rejected(owner: Any, client_of: Callable[[Any], Client]) -> None:
    data = {"email": "OWNER@example.com", "name": "Twin", "role": "reader"}
    assert client_of(owner).post(reverse("accounts:users"), data).status_code == 422
    assert User.objects.count() == 1


def test_a_changed_role_applies_at_once_and_is_audited(
    owner: Any, reader: Any, client_of: Callable[[Any], Client]
) -> None:
    client_of(owner).post(reverse("accounts:user", args=[reader.pk]), {"role": "admin", "is_active": "on"})
    reader.refresh_from_db()
    assert reader.can_edit_policy
    entry = AuditEntry.objects.get(verb="changed")
    assert entry.before and entry.after
    assert (entry.before["role"], entry.after["role"]) == ("reader", "admin")


def test_the_last_owner_cannot_be_demoted_or_closed(owner: Any, client_of: Callable[[Any], Client]) -> None:
    client_of(owner).post(reverse("accounts:user", args=[owner.pk]), {"role": "reader", "is_active": "on"})
    owner.refresh_from_db()
    assert owner.role == Role.OWNER


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_demote_each_other_at_once_leave_one(owner: Any) -> None:
    other = User.objects.create_user("other@example.com", "Other", Role.OWNER)
    start = threading.Barrier(2)

    def demote(actor: User, target: User) -> None:
        start.wait()
        try:
            change_user(actor, target.pk, role=Role.READER, is_active=True)
        except LastOwnerError:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=pair) for pair in ((owner, other), (other, owner))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert User.objects.filter(role=Role.OWNER).count() == 1
