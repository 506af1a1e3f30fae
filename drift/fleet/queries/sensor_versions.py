"""The versions of the sensors that a viewer sees, each with how many run it and how it stands to the portal's."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from accounts.models import Viewer
from drift.fleet.domain.releases import Age, Release, age_of_release, parsed_release
from drift.fleet.queries.sensors import visible_active_sensors
from sensor.version import VERSION


@dataclass(frozen=True)
class SensorVersion:
    """One version as reported, empty where a sensor has not reported yet; `clusters` are at most three."""

    version: str
    release: Release | None
    age: Age
    sensors: int
    clusters: list[tuple[int, str]]
    more_clusters: int


SHOWN_CLUSTERS = 3


def portal_release() -> Release:
    """Return the portal's own release."""
    return parsed_release(VERSION) or Release(0, 0, 0)


def sensor_versions(viewer: Viewer) -> list[SensorVersion]:
    """Return the versions of the active sensors in scope: what needs an upgrade first, then the most common."""
    rows = visible_active_sensors(viewer).values_list("status__sensor_version", "cluster", "cluster__name")
    by_version: dict[str, list[tuple[int, int, str]]] = {}
    for version, cluster, name, count in rows.annotate(count=Count("pk")).order_by("-count"):
        by_version.setdefault(version or "", []).append((count, cluster, name))
    portal = portal_release()
    found = [_version(version, places, portal) for version, places in by_version.items()]
    order = list(Age)
    return sorted(found, key=lambda each: (-_urgency(each.age), order.index(each.age), -each.sensors))


def _version(version: str, places: list[tuple[int, int, str]], portal: Release) -> SensorVersion:
    release = parsed_release(version)
    shown = [(cluster, name) for _, cluster, name in places[:SHOWN_CLUSTERS]]
    count = sum(count for count, _, _ in places)
    return SensorVersion(version, release, age_of_release(release, portal), count, shown, len(places) - len(shown))


def _urgency(age: Age) -> int:
    return {Age.UNSUPPORTED: 3, Age.NEWER: 2, Age.OLD: 1}.get(age, 0)
