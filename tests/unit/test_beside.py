"""The benchmark that compares two checkouts ends where one of them cannot be measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import beside


def test_a_checkout_whose_process_dies_before_it_answers_ends_the_comparison_with_its_name(tmp_path: Path) -> None:
    with beside._version(tmp_path) as version, pytest.raises(SystemExit, match=str(tmp_path)):  # it has no portal
        version.recv()
