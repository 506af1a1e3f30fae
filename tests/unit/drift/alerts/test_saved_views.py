"""Saved views and sample alerts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.models import Alert, AlertPulse, SavedView
from tests.unit.drift.alerts.conftest import Estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


ClientOf = Callable[[Any], Client]


def test_a_view_is_its_users_own(reader: Any, operator: Any, client_of: ClientOf) -> None:
    browser = client_of(reader)
    browser.post("/alerts/views/", {"name": "Mine", "query": "?namespace=shop"})
    view = SavedView.objects.get()
    assert (view.user, view.query) == (reader, "namespace=shop")

    client_of(operator).post(f"/alerts/views/{view.pk}/delete/")
    assert SavedView.objects.exists(), "users delete only their own"
    assert "Mine" in browser.get("/alerts/").content.decode()


def test_saving_a_view_again_replaces_it(reader: Any, client_of: ClientOf) -> None:
    browser = client_of(reader)
    for query in ("namespace=a", "namespace=b"):
        browser.post("/alerts/views/", {"name": "Mine", "query": query})

    assert SavedView.objects.get().query == "namespace=b"


def test_a_view_that_cannot_be_saved_leaves_the_list_as_it_was(reader: Any, client_of: ClientOf) -> None:
    answer = client_of(reader).post("/alerts/views/", {"name": "a\u202eb", "query": "?writer=curl"}, follow=True)

    assert answer.redirect_chain == [("/alerts/?writer=curl", 302)]
    assert "RIGHT-TO-LEFT OVERRIDE" in answer.content.decode()


@pytest.mark.parametrize("length", [4_001, 8_000])
def test_a_view_with_too_many_filters_to_save_keeps_them(reader: Any, client_of: ClientOf, length: int) -> None:
    query = "writer=" + "a" * (length - len("writer="))
    answer = client_of(reader).post("/alerts/views/", {"name": "Mine", "query": query}, follow=True)

    assert answer.redirect_chain == [(f"/alerts/?{query}", 302)]
    assert "Too many filters to save." in answer.content.decode()


@pytest.mark.parametrize("value", ["a" * 8_000, "\u0430" * 4_001, "a" * 20_000])
def test_a_view_with_more_filters_than_an_address_takes_leads_to_the_plain_list(
    reader: Any, client_of: ClientOf, value: str
) -> None:
    answer = client_of(reader).post("/alerts/views/", {"name": "Mine", "query": f"writer={value}"}, follow=True)

    assert answer.redirect_chain == [("/alerts/", 302)]
    assert "Too many filters to save." in answer.content.decode()


def test_sample_alerts_are_marked_as_such(estate: Estate, operator: Any, client_of: ClientOf) -> None:
    browser = client_of(operator)

    page = browser.post("/alerts/samples/", follow=True).content.decode()

    assert Alert.objects.filter(sample=True).count() == AlertPulse.objects.count() == 3
    assert page.count("Sample</span>") == 3
    assert "This is a sample alert" in browser.get(f"/alerts/{Alert.objects.all()[0].pk}/").content.decode()


def test_without_a_sensor_there_are_no_samples(operator: Any, client_of: ClientOf) -> None:
    page = client_of(operator).post("/alerts/samples/", follow=True).content.decode()

    assert "Enrol a sensor first" in page
