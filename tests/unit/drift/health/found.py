"""What health finds, for the tests of what it is about."""

from __future__ import annotations

from typing import Any

from drift.health.domain.conditions import BY_CODE

API = "/api/v1/health/"


def of_sensors(client: Any) -> list[dict[str, Any]]:
    """Return the conditions that hold and are counted in sensors, but for the older releases that tests report."""
    rows = client.get(API).json()["conditions"]
    holds = [row for row in rows if row["state"] == "failing" and row["code"] != "outdated"]
    return [row for row in holds if BY_CODE[row["code"]].of_sensors]


def codes(client: Any) -> list[str]:
    """Return the codes of `of_sensors`."""
    return [row["code"] for row in of_sensors(client)]
