"""Every cell of the access table whose URL is of the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.drift.alerts.conftest import _fresh_memories  # noqa: F401 - a fixture
from tests.unit.portal.access_cells import areas, cells
from tests.unit.portal.access_requests import assert_as_expected

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.mark.parametrize("area", areas(api=True))
def test_every_cell_of_the_api_is_as_expected(area: str, queued: list[Any]) -> None:
    assert_as_expected([cell for cell in cells(api=True) if cell.area == area])
