"""The page of sensor versions groups by version and flags what needs an upgrade."""

from __future__ import annotations

from typing import Any

import pytest

from drift.fleet.domain.releases import Age, Release, age_of_release, parsed_release
from drift.fleet.models import Environment, SensorStatus
from drift.fleet.queries import sensor_versions as queries
from tests.unit.drift.alerts.conftest import make_estate

PORTAL = Release(0, 3, 1, "aaaaaaaa")


@pytest.mark.parametrize(
    ("version", "age"),
    [
        ("0.3.1+gaaaaaaaa", Age.CURRENT),
        ("0.3.1+gbbbbbbbb", Age.OTHER_BUILD),
        ("0.3.1", Age.OTHER_BUILD),
        ("0.3.0", Age.OLD),
        ("0.2.9", Age.OLD),
        ("0.1.0", Age.UNSUPPORTED),
        ("0.3.2", Age.NEWER),
        ("1.0.0", Age.NEWER),
        ("", Age.UNKNOWN),
        ("0.3", Age.UNKNOWN),
        ("<b>0.3.1</b>", Age.UNKNOWN),
        ("0.3.1\n", Age.UNKNOWN),
    ],
)
def test_a_release_and_the_one_before_work_with_the_portal(version: str, age: Age) -> None:
    assert age_of_release(parsed_release(version), PORTAL) == age


def test_a_release_of_another_major_version_is_not_supported() -> None:
    assert age_of_release(Release(0, 9, 0), Release(1, 0, 0)) == Age.UNSUPPORTED


@pytest.mark.services
@pytest.mark.django_db
def test_versions_are_grouped_and_those_to_upgrade_come_first(
    reader: Any, client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "VERSION", "0.3.1+gaaaaaaaa")
    sensors = make_estate().sensors
    for sensor, version in zip(sensors, ("0.3.1+gaaaaaaaa", "0.1.0+gcccccccc", "0.1.0+gcccccccc"), strict=True):
        SensorStatus.objects.update_or_create(sensor=sensor, defaults={"sensor_version": version})

    found = queries.sensor_versions(reader)
    assert [(each.version, each.age, each.sensors) for each in found] == [
        ("0.1.0+gcccccccc", Age.UNSUPPORTED, 2),
        ("0.3.1+gaaaaaaaa", Age.CURRENT, 1),
    ]
    page = client_of(reader).get("/settings/versions/").content.decode()
    assert "The portal is release 0.3.1, commit aaaaaaaa" in page
    assert "Not supported" in page
    assert page.index("0.1.0") < page.index("<td>0.3.1</td>")

    Environment.objects.update(sensor_enabled=False)
    assert "Versions appear once sensors are enrolled" in client_of(reader).get("/settings/versions/").content.decode()
