"""The filters that the domain lists are those that models, conditions and pages have."""

from __future__ import annotations

from typing import get_args

from drift.alerts.domain.filter_values import PROVIDERS
from drift.alerts.domain.filters import (
    ALL_STATUSES,
    CHOICES,
    CLOSED_STATUSES,
    LABELS,
    OPEN_STATUSES,
    OUTCOMES,
    VERDICTS,
    Filters,
)
from drift.alerts.models import CLOSED, OPEN, Alert, Resolution, Severity, Status
from drift.alerts.queries.filter_conditions import CONDITIONS
from drift.alerts.queries.filter_pills import ADDABLE, ALWAYS_SHOWN, OPTIONS
from drift.fleet.models import Provider
from sensor import wire


def test_statuses_and_severities_are_those_of_the_models() -> None:
    assert set(ALL_STATUSES) == set(Status.values)
    assert set(OPEN_STATUSES) == {status.value for status in OPEN}
    assert set(CHOICES["severity"]) == set(Severity.values)
    assert set(CLOSED_STATUSES) == {status.value for status in CLOSED}
    assert tuple(Resolution.values) == VERDICTS
    assert tuple(Provider.values) == PROVIDERS


def test_outcomes_are_those_of_the_wire() -> None:
    assert set(OUTCOMES) == set(get_args(wire.Outcome))


def test_each_filter_has_a_condition() -> None:
    assert set(LABELS) == {*CONDITIONS, "status"}
    assert {*ADDABLE, *ALWAYS_SHOWN, *OPTIONS} <= set(LABELS)


def test_every_sort_column_exists() -> None:
    from drift.alerts.domain.sort_order import SORT_NAMES
    from drift.alerts.queries.alert_pages import COLUMNS

    assert tuple(COLUMNS) == SORT_NAMES
    assert {name.partition("__")[0] for name in COLUMNS.values()} <= {field.name for field in Alert._meta.get_fields()}


def test_without_the_status_filter_every_status_is_shown() -> None:
    filters = Filters(values={"namespace": ("shop",)})

    assert filters.statuses == OPEN_STATUSES
    assert filters.without("status").has_all_statuses
    assert filters.having("status", "resolved").query == "namespace=shop&status=resolved"
