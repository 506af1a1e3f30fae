"""The import contracts of pyproject.toml refuse what they name: each is tried in a scratch copy of the checkout."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("portal", "accounts", "drift", "sensor")

TYPE_CHECKING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
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
    ("web-rooms", "drift/alerts/queries", "def later() -> None:\n    from drift.alerts import views"),
    ("web-rooms", "drift/alerts/queries", "from ..views import detail"),
    ("web-rooms", "drift/alerts/queries", TYPE_CHECKING + "    from drift.alerts.views import detail"),
    ("web-rooms", "drift/alerts/apps.py", "from drift.alerts.views import detail"),
    ("web-rooms", "drift/policy/migrations", "from drift.policy.views import page"),
    ("web-rooms", "drift/backtest/actions", "from drift.alerts.templatetags import alerts"),
    ("web-rooms", "drift/web", "from accounts import views"),
    ("web-rooms", "drift/alerts/models", "import drift.policy.views"),
    ("views", "drift/alerts/views", "import drift.policy.api"),
    ("views", "drift/backtest/views", "from accounts import views"),
    ("api", "drift/fleet/api", "import drift.policy.views"),
    ("api", "drift/fleet/api", "from drift.policy import tasks"),
    ("tasks", "drift/backtest/tasks.py", "from drift.alerts.views import detail"),
    ("tasks", "drift/notify/tasks.py", "from drift.notify.forms import settings"),
    ("commands", "drift/backtest/management/commands", "from drift.policy.views import page"),
    ("templatetags", "drift/fleet/templatetags", "from drift.fleet.actions import sensors"),
    ("templatetags", "accounts/templatetags", "from accounts import actions"),
    ("urls", "drift/alerts/urls.py", "from drift.alerts.actions import triage"),
    ("urls", "drift/alerts/api_urls.py", "from drift.alerts.models import Alert"),
    ("apart", "drift/fleet/api", "from drift.policy.api import responses"),
    ("apart", "drift/fleet/management/commands/keys.py", "from drift.fleet.management.commands import enrolment_token"),
    ("apart", "drift/alerts/templatetags", "from drift.fleet.templatetags import fleet"),
    ("migrations", "drift/policy/migrations", "from drift.policy.actions import drafts"),
    ("forms", "drift/alerts/actions", "import drift.policy.forms"),
    ("forms", "drift/backtest/queries", "from accounts import forms"),
    ("queries", "drift/alerts/queries", "import drift.policy.actions"),
    ("queries", "drift/fleet/queries", "from accounts import audit"),
    ("queries", "drift/web", "from accounts import actions"),
    ("domain", "drift/policy/domain", "from django.db import connection"),
    ("domain", "drift/backtest/domain", "import drift.alerts.models"),
    ("domain", "drift/notify/domain", "import smtplib"),
    ("models", "drift/alerts/models", "import drift.policy.queries"),
    ("views-of-apps", "drift/backtest/views", "import drift.fleet.views"),
    ("queue", "drift/policy/views", "import drift.queue"),
    ("queue", "drift/policy/tasks.py", "from drift import queue"),
    ("effects", "drift/policy/views", "from celery import current_app"),
    ("effects", "drift/alerts/queries", "import redis"),
    ("accounts-rooms", "accounts/actions", "import accounts.views"),
    ("sensor-from-portal", "drift/alerts/domain", "import sensor.blocking"),
    ("sensor-from-portal", "portal", "import sensor.agent"),
    ("sensor-from-portal", "drift/alerts/actions", "from sensor.blocking.block_plan import block_plan"),
    ("sensor-from-portal", "drift/alerts/actions", "from sensor import version"),
    ("sensor-from-portal", "drift/alerts/actions", "import sensor"),
    ("sensor-from-accounts", "accounts/views.py", "import sensor.policy"),
    ("sensor-from-accounts", "drift/web", "import sensor.wire"),
    ("portal-rooms", "portal/serve", "from portal import views"),
    ("sensor-alone", "sensor/delivery", "import django"),
    ("sensor-rooms", "sensor/delivery", "import sensor.blocking"),
    ("sensor-rooms", "sensor/judgement", "import sensor.capture"),
    ("decide", "sensor/judgement/decide.py", "import sensor.files"),
    ("engine", "sensor/policy", "import sensor.wire"),
    ("engine", "sensor/names", "import msgspec"),
    ("circles", "drift/policy/models.py", "import drift.policy.actions"),
]
"""Contract, the room (or file) that imports, and what it must not import."""


ROOMS = (
    "drift/policy/helpers",
    "drift/alerts/utils",
    "drift/payments",
    "sensor/helpers",
    "accounts/helpers",
    "portal/helpers",
)
"""Rooms that no contract covers."""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's Python packages, with the contracts."""
    copy = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the linter; it folds no line."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--cache-dir", str(checkout / ".cache")]
    return subprocess.run(
        command,
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "999"},
    )


def contracts() -> list[dict[str, object]]:
    found: list[dict[str, object]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    return found


def probe(index: int) -> str:
    """Return the file that imports what it must not: the room's own, or a new one in the room."""
    room = FORBIDDEN[index][1]
    return room if room.endswith(".py") else f"{room}/probe_{index}.py"


@pytest.fixture(scope="module")
def refusals(scratch: Path) -> dict[str, str]:
    """By contract, what the linter says of a copy that has every forbidden import and room: one run for all of them."""
    before = lint(scratch)
    assert before.returncode == 0, before.stdout
    for index, (_, _, statement) in enumerate(FORBIDDEN):
        with (scratch / probe(index)).open("a") as file:
            file.write(f"\n{statement}\n")
    for room in ROOMS:
        (scratch / room).mkdir()
        (scratch / room / "__init__.py").touch()
    done = lint(scratch)
    assert done.returncode == 1, done.stdout
    _, _, broken = done.stdout.partition("Broken contracts")
    ids = {each["name"]: str(each["id"]) for each in contracts()}
    parts = re.split(r"^(.+)\n-+$", broken, flags=re.MULTILINE)
    return {ids[name]: text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("index", range(len(FORBIDDEN)), ids=[" ".join(each) for each in FORBIDDEN])
def test_a_forbidden_import_is_refused(refusals: dict[str, str], scratch: Path, index: int) -> None:
    contract, _, statement = FORBIDDEN[index]
    module = probe(index).removesuffix(".py").replace("/", ".")
    lines = (scratch / probe(index)).read_text().splitlines()
    at = max(number for number, line in enumerate(lines, 1) if "import" in line)
    wanted = rf"^\W*{re.escape(module)} -> \S+ \([^)]*l\.{at}\b"
    if contract == "circles":
        # Named by package, relative to the one that has the circle.
        wanted = rf"^- \.{module.rpartition('.')[2]} -> \.{statement.rpartition('.')[2]} \("
    assert re.search(wanted, refusals[contract], re.MULTILINE), refusals[contract]


def test_each_contract_is_tried() -> None:
    assert {contract for contract, *_ in FORBIDDEN} == {each["id"] for each in contracts()}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_no_contract_covers_is_refused(refusals: dict[str, str], room: str) -> None:
    names = {room.replace("/", "."), room.rpartition("/")[2]}
    said = [line.strip(" -") for text in refusals.values() for line in text.splitlines() if " -> " not in line]
    assert names & set(said)


def test_every_app_has_the_rooms_contract() -> None:
    (rooms,) = (each for each in contracts() if each["id"] == "rooms")
    apps = {f"drift.{path.parent.name}" for path in (ROOT / "drift").glob("*/apps.py")}
    assert set(rooms["containers"]) == apps  # type: ignore[call-overload]


def test_every_package_is_under_the_contracts() -> None:
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench", "scripts"}
    assert ours == set(PACKAGES)
    # The linter passes over a directory without `__init__.py`, and Python imports from it all the same.
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert [path.parent for path in modules if not (path.parent / "__init__.py").exists()] == []


def imported(path: Path) -> set[str]:
    """The modules that a file imports, in full."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            found.add(".".join((*package, *filter(None, [node.module]))))
    return found


def test_policy_engine_needs_the_standard_library_only() -> None:
    """But for the parser of YAML, which is loaded for YAML alone."""
    for path in [*(ROOT / "sensor/policy").rglob("*.py"), *(ROOT / "sensor/names").rglob("*.py")]:
        more = {"yaml"} if path.name == "yaml_document.py" else set()
        for name in imported(path):
            is_ours = name.startswith(("sensor.policy", "sensor.names"))
            assert is_ours or name.partition(".")[0] in sys.stdlib_module_names | more, f"{path} imports {name}"

    script = (
        "import sys, sensor.policy.document_text as read; read.parse_document(b'{}'); sys.exit('yaml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_nothing_is_imported_by_a_name_that_the_linter_cannot_see() -> None:
    """As by `import_module("drift.alerts.views")` or `apps.get_model`: no contract would notice."""
    by_name = {"import_module", "__import__", "import_string", "get_model", "get_models"}
    # The system check reads one attribute of every model, and uses none.
    allowed = {ROOT / "accounts/models/visibility.py": {"get_models"}}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if "migrations" in path.parts:
            continue
        names = {
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Name | ast.Attribute)
        }
        assert not names & by_name - allowed.get(path, set()), path
