"""Odd files among established noise that changes: covered with it where they are few, and nothing else keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from drift.backtest.domain.noise_evidence import Refusal
from tests.unit.drift.backtest.noise_samples import Json, line
from tests.unit.drift.backtest.test_noise_refusals import absorbed, builds, planned, refusals, true_positive


def odd(number: int, **facts: Any) -> Json:
    """Return a program of a build in a directory that no other build has, which the builds' pattern holds for."""
    path = f"/tmp/go-build{number}/b001/{'abcdefghijkl'[number]}ddly/api.test"
    made = {**builds([number])[0], "path": path, "sha256": f"{number:02}".ljust(64, "d"), **facts}
    return line(number, **{key: made[key] for key in made.keys() - {"at", "name", "container_id", "pod"}})


def test_a_few_files_of_another_shape_are_covered_with_their_family() -> None:
    few = [odd(number, truth="attack:01") for number in range(6)]
    assert Refusal.RARE in refusals([*builds(), *few])
    assert set(planned([*builds(), *few], changing=True).refusals) == {None}
    assert absorbed([*builds(), *few], changing=True) == ["attack:01"]


def test_more_than_one_in_twenty_are_a_family_of_their_own_and_stay() -> None:
    many = [odd(number, truth="attack:01") for number in range(8)]
    assert absorbed([*builds(), *many], changing=True) == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"session": "exec"}, id="started by a person"),
        pytest.param({"written_by": "/usr/bin/curl", "written_by_name": "curl"}, id="by a download tool"),
        pytest.param({"parent": "sh"}, id="started by another program"),
        pytest.param({"kind": "replaced"}, id="of another kind"),
        pytest.param({"image": "registry.corp/shop/other:1", "namespace": "other", "owner": "other"}, id="elsewhere"),
    ],
)
def test_an_odd_file_that_came_about_otherwise_stays(other: Json) -> None:
    assert absorbed([*builds(), odd(5, truth="attack:01", **other)], changing=True) == []


def test_an_odd_file_that_was_an_attack_keeps_its_family_visible() -> None:
    attack = odd(5, truth="attack:01")
    assert absorbed([*builds(), attack, true_positive(attack)], changing=True) == []
