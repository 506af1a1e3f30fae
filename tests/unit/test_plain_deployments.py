"""What is delivered for one machine: compose.yaml, its keys and roles, and the units for a plain host."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.celery import app
from portal.config import SETTINGS
from portal.program.options import parser

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
PROCESSES = ("migrate", "web", "gateway", "worker", "beat")
UNITS = DEPLOY / "portal/systemd"


def prepared(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run prepare.sh in a copy of its directory."""
    shutil.copytree(DEPLOY / "compose", directory / "compose", dirs_exist_ok=True)
    command = ["sh", str(directory / "compose/prepare.sh"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_every_process_of_the_portal_runs_a_command_that_exists_with_settings_that_exist() -> None:
    for name in PROCESSES:
        service: dict[str, Any] = COMPOSE["services"][name]
        words = [word.replace("${OWNER_EMAIL:?}", "me@drift.example") for word in service["command"]]
        assert parser().parse_args(words).command == {"migrate": "init"}.get(name, name)
        assert set(service["environment"]) <= set(SETTINGS)
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_only_migrations_know_the_owner_of_the_tables() -> None:
    knowing = {name for name in PROCESSES if "MIGRATION_DATABASE_URL" in COMPOSE["services"][name]["environment"]}
    assert knowing == {"migrate"}


def test_database_and_queue_are_reachable_from_inside_alone_and_only_the_proxy_from_outside() -> None:
    services = COMPOSE["services"]
    assert {name for name, each in services.items() if "ports" in each} == {"proxy"}
    assert {name for name, each in services.items() if each["networks"] == ["inside"]} >= {"postgres", "valkey", "beat"}
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_a_worker_is_given_the_time_of_its_longest_task() -> None:
    limit = app.conf.task_time_limit
    assert COMPOSE["services"]["worker"]["stop_grace_period"] == f"{limit + 10}s"
    assert f"TimeoutStopSec={limit + 10}\n" in (UNITS / "driftwatch-portal@.service").read_text()


def test_prepare_writes_every_key_that_compose_needs_for_its_owner_alone(tmp_path: Path) -> None:
    done = prepared(tmp_path, "drift.example", "me@drift.example")
    assert (done.returncode, done.stderr) == (0, "")
    file = tmp_path / "compose/.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    needed = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose/compose.yaml").read_text()))
    assert needed == set(written)
    secrets = [written[name] for name in written if name.endswith(("_PASSWORD", "_KEY"))]
    assert len(set(secrets)) == len(secrets) == 5
    for secret in secrets:
        assert re.fullmatch(r"[\w-]{48}", secret), "stands in URLs as it is"


def test_prepare_never_replaces_the_keys_of_existing_data(tmp_path: Path) -> None:
    assert prepared(tmp_path, "drift.example", "me@drift.example").returncode == 0
    before = (tmp_path / "compose/.env").read_text()
    again = prepared(tmp_path, "drift.example", "me@drift.example")
    assert again.returncode == 1
    assert (tmp_path / "compose/.env").read_text() == before


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("drift.example",),
        ("https://drift.example", "me@drift.example"),
        ("drift.example:443", "me@drift.example"),
        ("$(touch x)", "me@drift.example"),
        ("drift.example", "me"),
        ("drift.example", "me@"),
        ("drift.example", "me@drift.example\nIMAGE=evil"),
    ],
)
def test_prepare_refuses_what_is_no_host_name_or_address(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = prepared(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("prepare: ")
    assert not (tmp_path / "compose/.env").exists()


def test_the_proxies_send_the_stream_to_the_gateway_unbuffered_and_all_else_to_web() -> None:
    nginx = (DEPLOY / "proxy/nginx.conf").read_text()
    stream = nginx[nginx.index("location = /stream") :].partition("}")[0]
    assert "proxy_pass http://driftwatch_gateway;" in stream
    assert "proxy_buffering off;" in stream
    for caddy in (DEPLOY / "proxy/Caddyfile", DEPLOY / "compose/Caddyfile"):
        handled = caddy.read_text().partition("handle /stream {")[2].partition("handle {")[0]
        assert re.search(r"reverse_proxy \S+:8001", handled)
        assert "flush_interval -1" in handled
    ours = (DEPLOY / "compose/Caddyfile").read_text().partition("{$DOMAIN}")[2]
    plain = (DEPLOY / "proxy/Caddyfile").read_text().partition("\ndriftwatch.example")[2]
    assert ours.replace("gateway:", "127.0.0.1:").replace("web:", "127.0.0.1:") == plain


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.iterdir()))
def test_the_units_are_sandboxed(name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    # 10 × its exposure level: 0 is none, 96 a unit without any sandbox.
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", str(UNITS / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1:] + done.stderr.splitlines()


def test_the_unit_of_a_process_starts_that_command() -> None:
    unit = (UNITS / "driftwatch-portal@.service").read_text()
    assert "ExecStart=/opt/driftwatch-portal/bin/driftwatch-portal %i\n" in unit
    for process in ("web", "gateway", "worker", "beat"):
        assert parser().parse_args([process]).command == process
