"""Values of the estate are suggested while a rule is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.queries import value_suggestions
from drift.alerts.queries.value_suggestions import suggestions
from sensor.policy import PROCESS_PROPERTIES, RESOURCE_PROPERTIES
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def seen(estate: Estate) -> Estate:
    """Three workloads and two files."""
    ingest(
        estate.sensors[0],
        raw(
            event(container__namespace="shop", container__image_name="docker.io/library/nginx:1.25"),
            event(container__namespace="Workshop", container__image_name="ghcr.io:443/team/app:1.2"),
            event(container__namespace="pay", process__path="/opt/50%_off", process__name="50%_off"),
        ),
    )
    return estate


@pytest.mark.parametrize(
    ("name", "typed", "expected"),
    [
        ("namespace", "", ["pay", "shop", "Workshop"]),
        ("namespace", "SHOP", ["shop", "Workshop"]),
        ("namespace", "nothing", []),
        ("image_name", "", ["ghcr.io/team/app", "ghcr.io:443/team/app", "nginx"]),
        ("image_name", "APP", ["ghcr.io/team/app", "ghcr.io:443/team/app"]),
        ("container_name", "a", ["app"]),
        ("pod_labels", "", ["app=cart"]),
        ("pod_name", "cart", ["cart-7d9f-abcde"]),
        ("cluster_name", "", ["blue", "green"]),
        ("process_name", "x", ["xmrig"]),
        ("process_name", "%_", ["50%_off"]),
        ("process_path", "/opt/", ["/opt/50%_off"]),
        ("parent_process", "", []),
        ("no_such_property", "", []),
        ("namespace", "a\0b", []),
    ],
)
def test_values_of_the_estate_are_found_by_any_part(
    seen: Estate, reader: Any, name: str, typed: str, expected: list[str]
) -> None:
    assert suggestions(reader, name, typed) == expected


def test_only_properties_of_rules_have_sources() -> None:
    assert value_suggestions.SOURCES.keys() <= {*RESOURCE_PROPERTIES, *PROCESS_PROPERTIES}


def test_suggestions_are_limited_to_a_screenful(estate: Estate, reader: Any) -> None:
    ingest(estate.sensors[0], raw(*(event(container__namespace=f"team-{number:02}") for number in range(30))))
    found = suggestions(reader, "namespace", "team")
    assert found == [f"team-{number:02}" for number in range(value_suggestions.MAX_SUGGESTIONS)]


def test_the_panel_s_suggestions_take_one_query(
    seen: Estate, reader: Any, client_of: Callable[[Any], Client], django_assert_max_num_queries: Any
) -> None:
    client = client_of(reader)
    with django_assert_max_num_queries(4):  # those of session and user among them
        answer = client.get("/alerts/values/", {"property": "namespace", "typed": "sho"})
    assert answer.json() == {"values": ["shop", "Workshop"]}
