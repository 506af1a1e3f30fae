"""The suppressed content put to another use, in disguise: the rule that was made from its alert hides none of it."""

from __future__ import annotations

from typing import Any

import pytest

from drift.alerts.actions import detail_limits
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, DriftEvent, SuppressionRule
from tests.unit.drift.alerts.conftest import Estate, raw
from tests.unit.drift.alerts.test_suppression_content import OTHER, close_all, prefilled, saved, tool

pytestmark = [pytest.mark.services, pytest.mark.django_db]
__all__ = ["prefilled", "saved"]
POOL = "stratum+tcp://pool.example:3333"
MINES: dict[str, Any] = {"process__argv": ["gdb", "-o", POOL]}
DISGUISES: dict[str, list[dict[str, Any]]] = {
    "first of many": [MINES, *[{}] * 20],
    "last of many": [*[{}] * 20, MINES],
    "another file between": [{}, {"process__sha256": OTHER}, {}],
    "counted in a summary": [{**MINES, "count": 5_000, "mode": "summary"}],
    "behind an empty argument": [{"process__argv": ["", "-o", POOL]}],
    "in one argument": [{"process__argv": [f"gdb -o {POOL}"]}],
    "behind line breaks": [{"process__argv": ["gdb", "-ex", f"\n\n\n{POOL}"]}],
    "in capitals": [{"process__argv": ["gdb", "-o", POOL.upper()]}],
    "behind control characters": [{"process__argv": ["gdb", "\x1b[2K", "-o", POOL]}],
    "behind blanks": [{"process__argv": ["gdb", " " * 4_000 + POOL]}],
    "past where the sensor cut": [{"process__argv": ["gdb", "-p", "1"], "process__argv_truncated": True}],
    "blocked": [{**MINES, "outcome": "blocked"}],
    "in another release": [{**MINES, "container__image_name": "ghcr.io/team/app:7"}],
    "in an image that is named alike": [{"container__image_name": "ghcr.io/team/app-evil:1"}],
    "in a namespace that is named alike": [{"container__namespace": "shop-2"}],
    "in an image without a name": [{"container__image_name": ""}],
}


def test_no_disguise_of_a_suppressed_file_hides_its_other_use(
    estate: Estate, saved: SuppressionRule, operator: Any
) -> None:
    hidden = []
    for disguise, events in DISGUISES.items():
        ingest(estate.sensors[0], raw(*(tool(**changes) for changes in events)))
        if Alert.objects.filter(status="active").exists():
            close_all(operator)
        else:
            hidden.append(disguise)

    assert hidden == []


def test_past_the_limit_of_details_another_use_is_still_seen(
    estate: Estate, saved: SuppressionRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail_limits, "DETAILS_PER_HOUR", 3)
    for _ in range(3):
        ingest(estate.sensors[0], raw(tool(), tool()))
    assert not Alert.objects.filter(status="active").exists()

    ingest(estate.sensors[0], raw(tool(**MINES)))

    assert Alert.objects.filter(status="active").exists()
    assert DriftEvent.objects.exclude(detail=None).count() == 3, "its command line is past the limit, and not stored"
