"""Rows that are made past the ORM are those that it makes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import models

from drift.alerts.actions.bulk_insert import child_row, new_row
from drift.alerts.models import (
    Alert,
    AlertActivity,
    AlertDetail,
    AlertHour,
    AlertPulse,
    AlertScoring,
    Binary,
    Provenance,
    Workload,
)

MADE = (Alert, AlertActivity, AlertDetail, AlertHour, AlertPulse, AlertScoring, Binary, Provenance, Workload)


def _columns(row: models.Model) -> dict[str, Any]:
    """Return the values that are not the time at which the row was made."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return {name: value for name, value in values.items() if not isinstance(value, dt.datetime)}


@pytest.mark.parametrize("model", MADE, ids=lambda model: model.__name__)
def test_a_row_has_the_defaults_that_the_orm_gives_it(model: type[models.Model]) -> None:
    made, expected = new_row(model), model()

    assert _columns(made) == _columns(expected)
    assert made._state.adding


def test_a_row_has_the_given_values_and_the_time_of_its_own_making() -> None:
    first, second = new_row(Alert, cluster_id=7, path="/tmp/x"), new_row(Alert)

    assert (first.cluster_id, first.path) == (7, "/tmp/x")
    assert second.created_at > first.created_at
    assert second.path == ""


def test_rows_share_no_default_that_can_be_changed() -> None:
    first, second = new_row(Workload), new_row(Workload)

    first.pod_labels["app"] = "shop"

    assert second.pod_labels == {}


def test_what_is_not_a_column_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Alert has no column cluster, colour\."):
        new_row(Alert, cluster=None, colour="red")


CHILDREN = (AlertActivity, AlertDetail, AlertHour, AlertPulse, AlertScoring)


@pytest.mark.parametrize("model", CHILDREN, ids=lambda model: model.__name__)
def test_what_is_inserted_beside_a_row_has_the_defaults_that_the_orm_gives_it(model: type[models.Model]) -> None:
    inserted, values = child_row(model)
    expected = {field.attname: getattr(model(), field.attname) for field in model._meta.concrete_fields}

    assert inserted is model
    assert {name for name, value in values.items() if value is None} <= {
        name for name, value in expected.items() if value is None
    }
    assert {name: value for name, value in values.items() if not isinstance(value, dt.datetime)} == {
        name: expected[name] for name, value in values.items() if not isinstance(value, dt.datetime)
    }


def test_what_is_inserted_beside_a_row_has_the_given_values_and_the_time_of_its_own_making() -> None:
    at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    (_, first), (_, second) = child_row(AlertPulse, count=3, updated_at=at), child_row(AlertPulse)

    assert (first["count"], first["blocked"], first["updated_at"]) == (3, 0, at)
    assert second["updated_at"] > at


def test_what_is_not_a_column_of_it_is_refused() -> None:
    with pytest.raises(TypeError, match=r"AlertHour has no column minute\."):
        child_row(AlertHour, hour=None, minute=7)
