"""`driftwatch-portal`: what is missing at a start is said in one line, without secrets."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.program import needs
from portal.program.options import parser

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = {
    "SECRET_KEY": "only for this test",
    "DATABASE_URL": "postgresql://driftwatch:not-to-be-shown@127.0.0.1:1/driftwatch",
    "REDIS_URL": "redis://:not-to-be-shown@127.0.0.1:1/0",
}
PROCESSES = ("web", "gateway", "beat", "migrate")


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program with these settings alone."""
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    return subprocess.run(
        [sys.executable, "-m", "portal.program", *words],
        cwd=ROOT,
        env={**inherited, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("process", PROCESSES)
def test_a_missing_setting_ends_each_process_with_one_line_that_names_it(process: str) -> None:
    done = run(process, "--wait", "0")
    assert done.returncode == 1
    assert re.fullmatch(rf"driftwatch-portal {process}: SECRET_KEY is not set\..*\n", done.stderr)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "not-to-be-shown"),
        ("DATABASE_URL", "postgresql://a:not-to-be-shown@[half/name"),
        ("MIGRATION_DATABASE_URL", "not-to-be-shown"),
        ("REDIS_URL", "not-to-be-shown"),
        ("REDIS_URL", "http://:not-to-be-shown@host/0"),
        ("REDIS_URL", "redis://:not-to-be-shown@host:port/0"),
        ("REDIS_URL", "unix://"),
        ("WEB_THREADS", "many"),
        ("WEB_THREADS", "0"),
        ("LOG_LEVEL", "loud"),
        ("PUBLIC_URL", "portal.example"),
        ("STREAM_URL", "ftp://portal.example"),
        ("SECOND_APPROVER", "maybe"),
        ("SECRET_KEY_FILE", "/not/there"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_without_its_secret(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each, given in {**NOWHERE, "MIGRATION_DATABASE_URL": "", name: value}.items():
        monkeypatch.setenv(each, given)
    if name == "SECRET_KEY_FILE":
        monkeypatch.delenv("SECRET_KEY")
    with pytest.raises(ImproperlyConfigured, match=rf"^{name}\b") as refused:
        runpy.run_path(str(ROOT / "portal/settings.py"))
    assert "not-to-be-shown" not in str(refused.value)


def test_a_refused_setting_ends_the_start_with_that_line() -> None:
    done = run("web", "--wait", "0", **NOWHERE, LOG_LEVEL="loud")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("driftwatch-portal web: LOG_LEVEL must be one of debug, info, warning, error, not 'loud'.\n")


@pytest.mark.parametrize(("process", "service"), [("web", "PostgreSQL"), ("gateway", "Redis"), ("beat", "PostgreSQL")])
def test_a_service_that_does_not_respond_is_named_with_its_address_but_not_its_password(
    process: str, service: str
) -> None:
    done = run(process, "--wait", "0", **NOWHERE)
    assert done.returncode == 1
    assert re.fullmatch(rf"driftwatch-portal {process}: {service} at 127.0.0.1:1 .*\n", done.stderr), done.stderr
    assert "not-to-be-shown" not in done.stderr


def test_the_gateway_needs_neither_a_database_nor_its_settings() -> None:
    done = run("gateway", "--wait", "0", SECRET_KEY="x", REDIS_URL="redis://127.0.0.1:1/0")
    assert done.stderr.startswith("driftwatch-portal gateway: Redis at 127.0.0.1:1")


def test_what_is_missing_is_waited_for_and_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(needs, "PAUSE", 0.0)
    answers = iter([True, True, False])

    def starting() -> None:
        if next(answers):
            raise needs.NeedMissing("PostgreSQL is starting")

    needs.wait_for([starting], seconds=30)
    assert capsys.readouterr().err == "driftwatch-portal: waiting: PostgreSQL is starting\n"


def test_a_wait_ends_with_what_was_missing_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "PAUSE", 0.0)
    started = time.monotonic()

    def missing() -> None:
        raise needs.NeedMissing("refused" if time.monotonic() - started < 0.05 else "no such role")

    with pytest.raises(needs.NeedMissing, match="no such role"):
        needs.wait_for([missing], seconds=0.1)


@pytest.mark.services
def test_a_database_of_another_version_is_waited_for_and_then_named(tmp_path: Path) -> None:
    url, redis = os.environ["MIGRATION_DATABASE_URL"], os.environ["REDIS_URL"]
    empty = url.replace("/driftwatch?", "/postgres?")
    assert empty != url
    done = run("worker", "--wait", "1", SECRET_KEY="x", DATABASE_URL=empty, REDIS_URL=redis)
    assert done.returncode == 1
    *waited, last = done.stderr.splitlines()
    assert re.fullmatch(
        r"driftwatch-portal worker: the database lacks \d+ migrations of this version, first \S+:"
        r" run `driftwatch-portal migrate`",
        last,
    )
    assert len(waited) == 1


@pytest.mark.parametrize("words", [("web", "--port", "0"), ("web", "--processes", "0"), ("worker", "--wait", "soon")])
def test_a_wrong_option_is_refused_by_name(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(words)
    assert words[1] in capsys.readouterr().err
