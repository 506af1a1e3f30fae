"""The import contracts of pyproject.toml refuse what they name: each is tried in a scratch copy of the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("portal", "accounts", "drift", "sensor")

FORBIDDEN = [
    ("packages", "sensor/agent", "import portal.settings"),
    ("packages", "accounts", "import drift.policy.models"),
    ("apps", "drift/policy/queries", "import drift.alerts.models"),
    ("apps", "drift/web", "import drift.policy.models"),
    ("rooms", "drift/policy/actions", "import drift.policy.views"),
    ("rooms", "drift/policy/actions", "import drift.policy.forms"),
    ("rooms", "drift/policy/queries", "import drift.policy.actions"),
    ("rooms", "drift/alerts/domain", "import drift.alerts.queries"),
    ("rooms", "drift/policy/views", "import drift.policy.api"),
    ("rooms", "drift/alerts/models", "import drift.alerts.domain"),
    ("web-rooms", "drift/notify/actions", "import drift.notify.views"),
    ("web-rooms", "drift/alerts/queries", "import drift.fleet.views"),
    ("web-rooms", "drift/alerts/models", "import drift.policy.views"),
    ("views-api", "drift/alerts/views", "import drift.policy.api"),
    ("api-views", "drift/fleet/api", "import drift.policy.views"),
    ("forms", "drift/alerts/actions", "import drift.policy.forms"),
    ("queries", "drift/alerts/queries", "import drift.policy.actions"),
    ("queries", "drift/fleet/queries", "from accounts import audit"),
    ("domain", "drift/policy/domain", "from django.db import connection"),
    ("domain", "drift/backtest/domain", "import drift.alerts.models"),
    ("models", "drift/alerts/models", "import drift.policy.queries"),
    ("views-of-apps", "drift/backtest/views", "import drift.fleet.views"),
    ("queue", "drift/policy/views", "import drift.queue"),
    ("accounts-rooms", "accounts/actions.py", "import accounts.views"),
    ("sensor-from-portal", "drift/alerts/domain", "import sensor.blocking"),
    ("sensor-from-portal", "portal", "import sensor.agent"),
    ("sensor-alone", "sensor/delivery", "import django"),
    ("sensor-rooms", "sensor/delivery", "import sensor.blocking"),
    ("sensor-rooms", "sensor/judgement", "import sensor.capture"),
    ("decide", "sensor/judgement/decide.py", "import sensor.files"),
    ("engine", "sensor/policy", "import sensor.wire"),
    ("engine", "sensor/names", "import msgspec"),
    ("circles", "drift/policy/models.py", "import drift.policy.actions"),
]
"""Contract, the room (or file) that imports, and what it must not import."""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's Python packages, with the contracts."""
    copy = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(checkout: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--cache-dir", str(checkout / ".cache")]
    chosen = [argument for contract in contracts for argument in ("--contract", contract)]
    return subprocess.run([*command, *chosen], cwd=checkout, capture_output=True, text=True, timeout=120, check=False)


def contracts() -> list[dict[str, object]]:
    found: list[dict[str, object]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    return found


def test_the_scratch_copy_keeps_every_contract(scratch: Path) -> None:
    done = lint(scratch)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("contract", "room", "statement"), FORBIDDEN)
def test_a_forbidden_import_is_refused(scratch: Path, contract: str, room: str, statement: str) -> None:
    place = scratch / room
    probe = place if place.suffix else place / "probe.py"
    before = probe.read_text() if probe.exists() else None
    probe.write_text(f"{before or ''}\n{statement}\n")
    try:
        done = lint(scratch, contract)
    finally:
        if before is None:
            probe.unlink()
        else:
            probe.write_text(before)
    assert done.returncode == 1, done.stdout
    assert "0 kept, 1 broken" in done.stdout


def test_each_contract_is_tried() -> None:
    assert {contract for contract, *_ in FORBIDDEN} == {each["id"] for each in contracts()}


@pytest.mark.parametrize(
    "place", ["drift/policy/helpers", "drift/alerts/utils", "drift/payments", "sensor/helpers", "accounts/helpers"]
)
def test_a_room_that_no_contract_covers_is_refused(scratch: Path, place: str) -> None:
    room = scratch / place
    room.mkdir()
    (room / "__init__.py").touch()
    try:
        done = lint(scratch, "apps", "rooms", "accounts-rooms", "sensor-rooms")
    finally:
        shutil.rmtree(room)
    assert done.returncode == 1, done.stdout


def test_every_app_has_the_rooms_contract() -> None:
    (rooms,) = (each for each in contracts() if each["id"] == "rooms")
    apps = {f"drift.{path.parent.name}" for path in (ROOT / "drift").glob("*/apps.py")}
    assert set(rooms["containers"]) == apps  # type: ignore[call-overload]
