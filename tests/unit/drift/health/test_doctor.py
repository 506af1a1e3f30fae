"""`doctor`: nothing and status 0 while all is well, as cron wants it; else what to do."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command

from drift.health.actions.health_report import HealthFinding, HealthReport
from drift.health.domain.conditions import BY_CODE, CONDITIONS
from drift.health.domain.outcomes import CheckOutcome
from drift.health.management.commands import doctor as command
from tests.unit.drift.health import well

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _well(settings: Any) -> None:
    well.sensor()
    well.portal(settings)


def doctor(*options: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("doctor", *options, stdout=out)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue()
    return 0, out.getvalue()


def test_while_all_is_well_quiet_prints_nothing() -> None:
    assert doctor("--quiet") == (0, "")
    status, shown = doctor()
    assert (status, shown.count("ok  "), shown.splitlines()[-1]) == (
        0,
        len(CONDITIONS),
        f"0 failing, 0 not checked, {len(CONDITIONS)} well",
    )


def test_quiet_prints_what_holds_with_what_to_do_and_nothing_else() -> None:
    well.report("worker", ago=60)

    status, shown = doctor("--quiet")

    first, second = shown.splitlines()
    assert (status, second) == (1, f"     → {BY_CODE['worker'].action}")
    assert first.startswith(f"FAIL Worker: {BY_CODE['worker'].fails} Silent for ")


def test_what_is_not_checked_has_a_status_of_its_own(settings: Any) -> None:
    settings.DATABASE_DISK_GIB = 0

    assert doctor("--quiet") == (2, "?    Disk: set DATABASE_DISK_GIB or DISK_PATHS to have it checked\n")


def test_programs_get_each_condition_by_its_code() -> None:
    well.report("worker", ago=60)

    status, shown = doctor("--json")

    found = {row["code"]: row["state"] for row in json.loads(shown)}
    assert (status, found.keys()) == (1, BY_CODE.keys())
    assert [code for code, state in found.items() if state != "ok"] == ["worker"]


def test_a_name_cannot_drive_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = CheckOutcome("failing", "of node \x1b[2J\u202eknat")
    report = HealthReport([HealthFinding(BY_CODE["worker"], outcome)])
    monkeypatch.setattr(command, "doctor_report", lambda: report)

    status, shown = doctor("--quiet")

    assert status == 1
    assert not {"\x1b", "\u202e"} & set(shown)
    assert "\\u202eknat." in shown
    assert shown.count("\n") == 2
