"""Resuming blocking takes two people where a second approver is set up; stopping it never does."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Barrier
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEntry, User
from accounts.roles import Role
from drift.fleet.actions.blocking_switch import Resumption, resume_blocking, stop_all_blocking
from drift.fleet.models import FleetState
from drift.policy.actions import versions
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PAGE, API = "/settings/blocking/", "/api/v1/blocking/"


@pytest.fixture(autouse=True)
def _needed(settings: Any, queued: list[Any]) -> None:
    settings.SECOND_APPROVER = "blocking"


@pytest.fixture
def second(db: None) -> User:
    return User.objects.create_user("second@example.com", "Second", Role.ADMIN, "correct-horse-battery")


@pytest.fixture
def stopped(admin: User) -> None:
    assert stop_all_blocking(admin)


def is_stopped() -> bool:
    return FleetState.objects.get().blocking_stopped


@pytest.mark.parametrize("mode", ["blocking", "all"])
def test_stopping_needs_nobody_else(settings: Any, admin: User, api_of: Any, mode: str) -> None:
    settings.SECOND_APPROVER = mode
    answer = api_of(admin).put(API, {"blocking_stopped": True}, content_type="application/json")
    assert (answer.status_code, answer.json()["blocking_stopped"]) == (200, True)


def test_one_person_alone_never_resumes(stopped: None, admin: User) -> None:
    assert [resume_blocking(admin) for _ in range(3)] == [Resumption.ASKED, Resumption.UNCHANGED, Resumption.UNCHANGED]
    assert is_stopped()


def test_the_second_person_resumes_and_both_are_recorded(stopped: None, admin: User, second: User) -> None:
    resume_blocking(admin)
    assert resume_blocking(second) is Resumption.RESUMED
    assert not is_stopped()
    entry = AuditEntry.objects.get(object_type="blocking", verb="resumed")
    assert (entry.actor, (entry.after or {})["asked_by"]) == (second, admin.email)
    assert FleetState.objects.get().resume_asked_by is None


def test_without_a_second_approver_one_person_resumes(settings: Any, stopped: None, admin: User) -> None:
    settings.SECOND_APPROVER = "none"
    assert resume_blocking(admin) is Resumption.RESUMED


def test_a_request_falls_when_a_version_is_saved(stopped: None, admin: User, second: User) -> None:
    resume_blocking(admin)
    versions.save_document(admin, document("A"), 1)
    assert resume_blocking(second) is Resumption.ASKED
    assert is_stopped()
    assert resume_blocking(admin) is Resumption.RESUMED


def test_a_request_falls_after_a_day(stopped: None, admin: User, second: User) -> None:
    resume_blocking(admin)
    FleetState.objects.update(resume_asked_at=timezone.now() - dt.timedelta(days=1))
    assert resume_blocking(second) is Resumption.ASKED
    assert is_stopped()


@pytest.mark.parametrize("change", [{"role": Role.OPERATOR}, {"is_active": False}])
def test_a_request_falls_with_its_author_s_role(
    stopped: None, admin: User, second: User, change: dict[str, Any]
) -> None:
    resume_blocking(admin)
    User.objects.filter(pk=admin.pk).update(**change)
    assert resume_blocking(second) is Resumption.ASKED
    assert is_stopped()


@pytest.mark.parametrize(
    ("lost", "back"),
    [
        ({"role": Role.OPERATOR}, {"role": Role.ADMIN}),
        ({"is_active": False}, {"is_active": True}),
        ({"is_scoped": True}, {"is_scoped": False}),
    ],
)
def test_a_request_that_fell_with_its_author_s_rights_does_not_stand_again_with_them(
    stopped: None, admin: User, second: User, lost: dict[str, Any], back: dict[str, Any]
) -> None:
    resume_blocking(admin)
    User.objects.filter(pk=admin.pk).update(**lost)
    User.objects.filter(pk=admin.pk).update(**back)
    assert resume_blocking(second) is Resumption.ASKED
    assert is_stopped()


def test_a_request_stands_though_its_author_signs_in_again_or_is_renamed(
    stopped: None, admin: User, second: User
) -> None:
    resume_blocking(admin)
    User.objects.filter(pk=admin.pk).update(name="Renamed", last_login=timezone.now(), role=Role.ADMIN)
    assert resume_blocking(second) is Resumption.RESUMED


def test_who_lost_the_role_while_their_request_was_under_way_resumes_nothing(
    stopped: None, admin: User, second: User
) -> None:
    resume_blocking(admin)
    User.objects.filter(pk=second.pk).update(role=Role.READER)
    with pytest.raises(PermissionDenied):
        resume_blocking(second)
    assert is_stopped()


@pytest.mark.parametrize("mode", ["none", "blocking"])
def test_who_lost_the_role_meanwhile_resumes_nothing_alone_and_asks_for_nothing(
    mode: str, settings: Any, stopped: None, admin: User
) -> None:
    settings.SECOND_APPROVER = mode
    User.objects.filter(pk=admin.pk).update(role=Role.OPERATOR)
    with pytest.raises(PermissionDenied):
        resume_blocking(admin)
    assert is_stopped()
    assert FleetState.objects.get().resume_asked_by is None


def test_stopping_again_declines_the_request(stopped: None, admin: User, second: User) -> None:
    resume_blocking(admin)
    assert not stop_all_blocking(second)
    assert AuditEntry.objects.filter(verb="declined resuming", actor=second).exists()
    assert resume_blocking(second) is Resumption.ASKED
    assert is_stopped()


def test_the_page_says_who_asked_and_what_is_missing(stopped: None, admin: User, second: User, client_of: Any) -> None:
    first = client_of(admin)
    assert "Ask to resume" in first.get(PAGE).content.decode()
    page = unescape(first.post(PAGE, {"do": "resume"}, follow=True).content.decode())
    assert "Another Security Admin must resume it too" in page
    assert "Admin asked to resume blocking" in page
    assert "Resume blocking?" in client_of(second).get(PAGE).content.decode()
    assert "Blocking was resumed" in client_of(second).post(PAGE, {"do": "resume"}, follow=True).content.decode()
    assert not is_stopped()


def test_the_api_shows_the_request(stopped: None, admin: User, second: User, api_of: Any) -> None:
    wanted = {"blocking_stopped": False}
    asked = api_of(admin).put(API, wanted, content_type="application/json").json()
    assert (asked["blocking_stopped"], asked["resume_asked_by"]) == (True, admin.email)
    done = api_of(second).put(API, wanted, content_type="application/json").json()
    assert (done["blocking_stopped"], done["resume_asked_by"]) == (False, None)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_resume_at_once_one_asks_and_the_other_resumes(
    transactional_db: None, admin: User, second: User
) -> None:
    stop_all_blocking(admin)
    start = Barrier(2)

    def resume(user: User) -> Resumption:
        start.wait()
        try:
            return resume_blocking(user)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(resume, (admin, second)))
    assert set(results) == {Resumption.ASKED, Resumption.RESUMED}
    assert not is_stopped()
