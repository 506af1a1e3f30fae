"""The pages of notification routes: added, changed and removed, by one admin and by two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from drift.notify.models import AlertRoute

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
ClientOf = Callable[[Any], Client]
URL = "/notifications/routes/"
TEAM = "team@example.com"


def values(**changes: Any) -> dict[str, Any]:
    return {"name": "Payments", "query": "severity:high path:/tmp/*", "addresses": TEAM, **changes}


def test_an_admin_adds_changes_and_removes_a_route_and_each_is_audited(admin: User, client_of: ClientOf) -> None:
    browser = client_of(admin)
    assert browser.post(URL, values()).status_code == 302
    row = AlertRoute.objects.get()
    page = browser.get(URL).content.decode()
    assert "severity:high path:/tmp/*" in page
    assert "/alerts/?query=severity%3Ahigh+path%3A%2Ftmp%2F%2A&amp;newer=7d&amp;status=any" in page

    changed = browser.post(f"{URL}{row.pk}/", values(query="priority:60+", revision="1"))
    assert changed.status_code == 302
    row.refresh_from_db()
    assert (row.query, row.revision) == ("priority:60+", 2)
    assert browser.post(f"{URL}{row.pk}/remove/", {"revision": row.revision}).status_code == 302
    entries = AuditEntry.objects.filter(object_type="alert route").order_by("pk")
    assert list(entries.values_list("verb", flat=True)) == ["added", "changed", "removed"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"query": "colour:red"}, "There is no filter “colour”"),
        ({"query": "status:resolved"}, "Routes are for open alerts"),
        ({"query": "status:any"}, "Routes are for open alerts"),
        ({"query": "assignee:me"}, "A route is nobody&#x27;s own"),
        *(({"query": line}, "a route cannot have") for line in ("verdict:expected", "aside:yes", "mentions:me")),
        ({"query": "priority:high"}, "is not a value of priority"),
        ({"query": ""}, "This field is required"),
        ({"addresses": ""}, "Choose a webhook, or enter an address."),
        ({"addresses": "nobody"}, "Enter a valid email address"),
        ({"name": "a\u202eb"}, "RIGHT-TO-LEFT OVERRIDE"),
        ({"webhooks": "99"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_a_route_is_refused_with_the_reason_and_what_was_typed_stays(
    admin: User, client_of: ClientOf, wrong: dict[str, str], message: str
) -> None:
    answer = client_of(admin).post(URL, values(**wrong))

    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert 'value="Payments"' in answer.content.decode() or "name" in wrong
    assert not AlertRoute.objects.exists()


def test_a_name_is_unique_whatever_its_letter_case(admin: User, client_of: ClientOf) -> None:
    browser = client_of(admin)
    browser.post(URL, values())

    assert browser.post(URL, values(name="PAYMENTS")).status_code == 422
    assert AlertRoute.objects.count() == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("İzmir", "i̇zmir"), ("İzmir", "izmir"), ("ırmak", "IRMAK"), ("Straße", "STRASSE"), ("ΟΔΟΣ", "οδος"), ("K", "k")],
)
def test_names_that_only_some_call_equal_are_refused_or_kept_and_never_an_error(
    admin: User, client_of: ClientOf, one: str, other: str
) -> None:
    browser = client_of(admin)

    statuses = {browser.post(URL, values(name=name)).status_code for name in (one, other, other.upper(), other.lower())}

    assert statuses <= {302, 422}
    assert AlertRoute.objects.filter(name=one).exists()


def test_of_two_who_change_a_route_the_second_sees_what_the_first_did(
    admin: User, owner: User, client_of: ClientOf
) -> None:
    browser = client_of(admin)
    browser.post(URL, values())
    row = AlertRoute.objects.get()
    client_of(owner).post(f"{URL}{row.pk}/", values(query="path:/opt/*", revision="1"))

    answer = browser.post(f"{URL}{row.pk}/", values(query="path:/srv/*", revision="1"))
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Owner changed this route to: path:/opt/*, for team@example.com." in page
    assert 'value="path:/srv/*"' in page
    assert AlertRoute.objects.get().query == "path:/opt/*"
    again = browser.post(f"{URL}{row.pk}/", values(query="path:/srv/*", revision="2"))
    assert again.status_code == 302
    assert AlertRoute.objects.get().query == "path:/srv/*"


def test_what_was_typed_for_a_route_that_is_removed_meanwhile_is_kept_to_be_added(
    admin: User, owner: User, client_of: ClientOf
) -> None:
    browser = client_of(admin)
    browser.post(URL, values())
    row = AlertRoute.objects.get()
    client_of(owner).post(f"{URL}{row.pk}/remove/", {"revision": row.revision})

    answer = browser.post(f"{URL}{row.pk}/", values(query="path:/srv/*", revision="1"))

    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Somebody else removed this route" in page
    assert f'action="{URL}"' in page and 'value="path:/srv/*"' in page and TEAM in page


def test_a_route_is_not_removed_over_a_change_that_was_not_seen(admin: User, owner: User, client_of: ClientOf) -> None:
    browser = client_of(admin)
    browser.post(URL, values())
    row = AlertRoute.objects.get()
    client_of(owner).post(f"{URL}{row.pk}/", values(query="path:/opt/*", revision="1"))

    page = browser.post(f"{URL}{row.pk}/remove/", {"revision": "1"}, follow=True).content.decode()
    assert "Owner changed this route. Nothing was removed" in page
    browser.post(f"{URL}{row.pk}/remove/", {"revision": "2"})
    assert not AlertRoute.objects.exists()
    assert (
        "removed this route already"
        in browser.post(f"{URL}{row.pk}/remove/", {"revision": "2"}, follow=True).content.decode()
    )
