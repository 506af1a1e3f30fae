"""/readyz: a line for each part, 503 for what is dead, an answer whatever hangs, and nothing that is secret."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.test import Client

from drift.health.actions import readiness
from drift.health.domain.conditions import PORTAL, ROLES
from drift.health.domain.outcomes import CheckOutcome, ok
from tests.unit.drift.health import well

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _well(settings: Any) -> None:
    well.portal(settings)


def checks(query: str = "") -> tuple[int, dict[str, str]]:
    answer = Client().get(f"/readyz{query}")
    return answer.status_code, answer.json()["checks"]


def test_it_is_ready_with_a_line_for_each_part() -> None:
    status, found = checks()

    assert status == 200, found
    assert found.keys() == {each.code for each in PORTAL if each.audience == "everybody"}
    assert {text.partition(":")[0] for text in found.values()} == {"ok"}
    assert len(Client().get("/readyz").content.splitlines()) > len(found)


@pytest.mark.parametrize("dead", ["worker", "beat", "gateway"])
def test_a_dead_process_makes_the_whole_and_its_own_role_unready_and_no_other(dead: str) -> None:
    well.report(dead, ago=11)

    status, found = checks()

    assert (status, found[dead].startswith("failing: silent for ")) == (503, True)
    assert {role: checks(f"?role={role}")[0] for role in ROLES} == {
        role: 503 if role == dead else 200 for role in ROLES
    }


def test_web_is_ready_without_redis_and_the_others_are_not(settings: Any) -> None:
    settings.REDIS_URL = "redis://:not-to-be-shown@127.0.0.1:1/0"

    assert {role: checks(f"?role={role}")[0] for role in ROLES} == {
        "web": 200,
        "gateway": 503,
        "worker": 503,
        "beat": 503,
    }
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["redis"]) == (503, "failing")
    assert "not-to-be-shown" not in answer.content.decode()
    assert "127.0.0.1" not in answer.content.decode()


def test_an_unknown_role_is_refused() -> None:
    assert Client().get("/readyz?role=database").status_code == 400


def test_a_directory_of_a_disk_is_not_named(settings: Any) -> None:
    settings.DISK_PATHS = ["/srv/secret-place"]
    assert "secret-place" not in Client().get("/readyz").content.decode()


def test_a_database_that_hangs_is_answered_in_time_and_one_thread_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hangs, calls = threading.Event(), list[int]()

    def hanging() -> CheckOutcome:
        calls.append(1)
        hangs.wait(30)
        return ok("responds")

    monkeypatch.setattr(readiness, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(readiness, "_running", {})
    monkeypatch.setattr(readiness, "database_outcome", hanging)

    assert [checks("?role=web") for _ in range(3)] == [(503, {"database": "failing: hangs"})] * 3
    assert len(calls) == 1

    hangs.set()
    readiness._running["database web"].result(30)
    monkeypatch.setattr(readiness, "WAIT_SECONDS", 30.0)
    assert checks("?role=web") == (200, {"database": "ok: responds"})


def test_a_redis_that_hangs_is_blamed_itself_and_the_database_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()

    def hanging() -> dict[str, CheckOutcome]:
        hangs.wait(30)
        return {}

    monkeypatch.setattr(readiness, "WAIT_SECONDS", 5.0)
    monkeypatch.setattr(readiness, "_running", {})
    monkeypatch.setattr(readiness, "redis_checks", hanging)

    status, found = checks()

    hangs.set()
    assert (status, found["redis"], found["database"]) == (503, "failing: hangs", "ok: responds")
    assert found["worker"] == "not_checked: not within 5 s"
    assert found["partitions"].startswith("ok")
