"""A property and a kind of drift, each added in one place of a scratch copy, are known to every preview there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.migrated_database import DIRECTORY
from tests.unit.drift import test_rule_properties

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
WALK = "tests/unit/drift/test_rule_properties.py"
PACKAGES = ("accounts", "bench", "docs", "drift", "portal", "scripts", "sensor", "static", "templates", "tests")
OWNER_NAME = """TABLE: Final = (
    Property(
        name="owner_name",
        label="Owner name",
        scope="resource_scope",
        event=("owner.name",),
        row="workload",
        columns=("owner_name",),
    ),
"""
CONTAINER_ID = """TABLE: Final = (
    Property(
        name="container_id",
        label="Container ID",
        scope="resource_scope",
        event=("container.id",),
        row="event",
        columns=("container_id",),
        alert="container_id",
    ),
"""
UNPACKED = """DRIFT_KINDS: Final = (
    KindDefinition("unpacked", "Unpacked", "A program unpacked at run time.", "A program was unpacked and executed"),
"""


def scratch_copy(where: Path) -> Path:
    """The checkout's sources without what is installed or built."""
    ignored = shutil.ignore_patterns("__pycache__", "vendor", "*.png", "*.webp")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, where / name, ignore=ignored)
    for name in ("manage.py", "pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, where / name)
    return where


def replace_once(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def walk(where: Path, chosen: str = "") -> subprocess.CompletedProcess[str]:
    """The walk through all consumers, in the copy; it starts its own services. `chosen`: what a test's id contains."""
    own = ("PYTEST_", "DATABASE_URL", "REDIS_URL", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment.setdefault(DIRECTORY, str(ROOT / ".pytest_cache"))
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", chosen, WALK]
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)


def _is_parametrized(test: object) -> bool:
    return any(mark.name == "parametrize" for mark in getattr(test, "pytestmark", ()))


def test_a_property_and_a_kind_added_in_one_place_each_reach_every_preview(tmp_path: Path) -> None:
    where = scratch_copy(tmp_path)
    replace_once(where / "sensor/policy/properties.py", "TABLE: Final = (\n", OWNER_NAME)
    kinds = where / "sensor/policy/drift_kinds.py"
    replace_once(kinds, "DriftKind = Literal[\n", 'DriftKind = Literal[\n    "unpacked",\n')
    replace_once(kinds, "DRIFT_KINDS: Final = (\n", UNPACKED)

    done = walk(where, "owner_name or unpacked")

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr
    passed = re.findall(r"::(\w+)\[(owner_name|unpacked)\S* PASSED", done.stdout)
    # Every test that walks properties or kinds has walked the new ones too.
    walks = {name for name, each in vars(test_rule_properties).items() if _is_parametrized(each)}
    assert walks
    assert {name for name, _ in passed} == walks


def test_a_property_that_one_preview_lacks_fails_the_walk(tmp_path: Path) -> None:
    where = scratch_copy(tmp_path)
    replace_once(where / "sensor/policy/properties.py", "TABLE: Final = (\n", OWNER_NAME)
    # As if the backtest read its own list again.
    replace_once(
        where / "drift/backtest/queries/stored_events.py",
        "yield [(pk, WORKLOAD_ROWS.facts(values)) for pk, *values in batch]",
        'yield [(pk, {**WORKLOAD_ROWS.facts(values), "owner_name": None}) for pk, *values in batch]',
    )

    done = walk(where, "owner_name")

    assert done.returncode == 1, done.stdout[-4_000:] + done.stderr
    failed = re.findall(r"::(\w+)\[(\S+)\] FAILED", done.stdout)
    assert failed == [("test_backtest_counts_what_the_sensor_decides", "owner_name-owner_name")]


def test_a_property_of_each_event_is_refused_until_the_backtest_has_classes_for_it(tmp_path: Path) -> None:
    where = scratch_copy(tmp_path)
    replace_once(where / "sensor/policy/properties.py", "TABLE: Final = (\n", CONTAINER_ID)

    done = walk(where)

    assert done.returncode != 0
    assert "{'container_id'}: a property that differs from event to event needs classes" in done.stdout
