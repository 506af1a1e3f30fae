"""Every cell of the access table whose URL is a page, or a part of one; and how many cells there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.drift.alerts.conftest import _fresh_memories  # noqa: F401 - a fixture
from tests.unit.portal.access_cells import areas, cells, kind_of
from tests.unit.portal.access_requests import assert_as_expected
from tests.unit.portal.test_access import URLS

SECURITY = Path(__file__).parents[3] / "docs" / "security.md"


@pytest.mark.services
@pytest.mark.django_db
@pytest.mark.parametrize("area", areas(api=False))
def test_every_cell_of_the_pages_is_as_expected(area: str, queued: list[Any]) -> None:
    assert_as_expected([cell for cell in cells(api=False) if cell.area == area])


def test_the_table_has_as_many_cells_as_the_documentation_says() -> None:
    found = re.search(r"\*\*at least ([0-9,]+) cells\*\*", SECURITY.read_text())
    assert found is not None
    count = sum(1 for api in (False, True) for _ in cells(api=api))
    print(f"{count:,} cells")
    assert count >= int(found[1].replace(",", ""))


def test_the_kind_of_object_that_each_url_names_is_known() -> None:
    """Add what a new URL names to KINDS, and plant one that is the caller's and one that is not."""
    assert [name for name, _ in URLS if kind_of(name) == "unknown"] == []
