"""`driftwatch-portal`: what is missing at a start is said in one line, without secrets."""

from __future__ import annotations

import os
import re
import runpy
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from portal import config
from portal.command_lines import beat_command, gateway_command, web_command, worker_command
from portal.program import main, needs
from portal.program.options import parser
from tests.database import as_owner
from tests.unit.portal.program_runs import OF_NO_HOST, runs

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = {
    "SECRET_KEY": "only for this test",
    "DATABASE_URL": "postgresql://driftwatch:not-to-be-shown@127.0.0.1:1/driftwatch",
    "REDIS_URL": "redis://:not-to-be-shown@127.0.0.1:1/0",
}
COMMANDS = {
    "web": ("--wait", "0"),
    "gateway": ("--wait", "0"),
    "worker": ("--wait", "0"),
    "beat": ("--wait", "0"),
    "migrate": ("--wait", "0"),
    "init": ("me@drift.example", "--wait", "0"),
    "collect": (),
    "doctor": (),
    "manage": ("policy", "export"),
}
"""Every command, with what it needs besides settings."""
REQUIRED = {
    name: ("SECRET_KEY", "REDIS_URL") if name == "gateway" else ("SECRET_KEY", "DATABASE_URL", "REDIS_URL")
    for name in COMMANDS
}


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program with these settings alone."""
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    return subprocess.run(
        [sys.executable, "-m", "portal.program", *words],
        cwd=ROOT,
        env={**inherited, **OF_NO_HOST, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) == set(main.COMMANDS)


def test_a_missing_setting_ends_each_process_with_one_line_that_names_it() -> None:
    cases = [(name, missing) for name in COMMANDS for missing in REQUIRED[name]]
    given = [((name, *COMMANDS[name]), {k: v for k, v in NOWHERE.items() if k != missing}) for name, missing in cases]
    for (name, missing), done in zip(cases, runs(given), strict=True):
        assert re.fullmatch(rf"driftwatch-portal {name}: {missing} is not set\..*\n", done.error), done.error
        assert (done.status, done.output) == (1, "")


SERVICES = {
    "PostgreSQL": ("web", "worker", "beat", "migrate", "init", "manage"),
    "Redis": ("gateway",),
}
"""Which process misses what first where neither responds."""


def test_a_service_that_does_not_respond_is_named_with_its_address_but_not_its_password() -> None:
    cases = [(name, service) for service, names in SERVICES.items() for name in names]
    for (name, service), done in zip(
        cases, runs([((name, *COMMANDS[name]), NOWHERE) for name, _ in cases]), strict=True
    ):
        assert re.fullmatch(rf"driftwatch-portal {name}: {service} at 127.0.0.1:1 .*\n", done.error), done.error
        assert "not-to-be-shown" not in done.error
        assert (done.status, done.output) == (1, "")


def test_what_cannot_be_read_or_written_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text("\n")
    without = {name: value for name, value in NOWHERE.items() if name != "SECRET_KEY"}
    cases = {
        "SECRET_KEY_FILE cannot be read: No such file": {"SECRET_KEY_FILE": str(tmp_path / "none")},
        "SECRET_KEY_FILE cannot be read: Is a directory": {"SECRET_KEY_FILE": str(tmp_path)},
        "SECRET_KEY_FILE is not text": {"SECRET_KEY_FILE": str(tmp_path / "bytes")},
        "SECRET_KEY_FILE is empty": {"SECRET_KEY_FILE": str(tmp_path / "empty")},
        "Both SECRET_KEY and SECRET_KEY_FILE": {"SECRET_KEY": "x", "SECRET_KEY_FILE": str(tmp_path / "empty")},
    }
    given = [((name, *COMMANDS[name]), {**without, **env}) for env in cases.values() for name in ("web", "gateway")]
    said = [said for said in cases for _ in range(2)]
    given.append((("collect",), {**NOWHERE, "STATIC_ROOT": "/dev/null/static"}))
    said.append("static files cannot be collected into /dev/null/static (STATIC_ROOT)")
    for text, done in zip(said, runs(given), strict=True):
        assert done.status == 1
        assert re.fullmatch(rf"driftwatch-portal \w+: {re.escape(text)}.*\n", done.error), done.error


def test_every_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for name, setting in config.SETTINGS.items() if setting.secret]
    assert {"SECRET_KEY", "DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL", "EMAIL_HOST_PASSWORD"} <= set(secrets)
    for name in secrets:
        monkeypatch.delenv(name, raising=False)
        (tmp_path / name).write_text(f"{NOWHERE.get(name, NOWHERE['DATABASE_URL'])}\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    found = runpy.run_path(str(ROOT / "portal/settings.py"))
    assert found["SECRET_KEY"] == NOWHERE["SECRET_KEY"]
    assert found["DATABASES"]["default"]["PASSWORD"] == "not-to-be-shown"
    assert "_FILE" not in str(found["EMAIL_HOST_PASSWORD"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "not-to-be-shown"),
        ("DATABASE_URL", "postgresql://a:not-to-be-shown@[half/name"),
        ("MIGRATION_DATABASE_URL", "not-to-be-shown"),
        ("REDIS_URL", "not-to-be-shown"),
        ("REDIS_URL", "http://:not-to-be-shown@host/0"),
        ("REDIS_URL", "redis://:not-to-be-shown@host:port/0"),
        ("REDIS_URL", "redis://:not-to-be-shown@host/first"),
        ("REDIS_URL", "redis://:not-to-be-shown@host/0/1"),
        ("REDIS_URL", "unix:///run/valkey.sock?db=first"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URL", "redis+sentinel://:not-to-be-shown@a,b:port/driftwatch"),
        ("REDIS_URL", "redis+sentinel://:not-to-be-shown@a,/driftwatch"),
        ("REDIS_URL", "redis+sentinel://:not-to-be-shown@a,b"),
        ("REDIS_URL", "redis+sentinel://:not-to-be-shown@a,b/driftwatch/first"),
        ("REDIS_URL", "redis+sentinel://a,b/driftwatch?sentinel_pasword=not-to-be-shown"),
        ("DATABASE_POOLER", "pgbouncer"),
        ("WEB_THREADS", "many"),
        ("WEB_THREADS", "0"),
        ("BUNDLE_VALID_DAYS", "36501"),
        ("BUNDLE_VALID_DAYS", "99999999999"),
        ("SESSION_HOURS", "1000001"),
        ("EMAIL_PORT", "65536"),
        ("LOG_LEVEL", "loud"),
        ("PUBLIC_URL", "portal.example"),
        ("STREAM_URL", "ftp://portal.example"),
        ("SECOND_APPROVER", "maybe"),
        ("METRICS_TOKEN", "x"),
        ("METRICS_TOKEN", "not-to-be-shown"),  # 15 characters
        ("METRICS_TOKEN", "not-to-be-shown with-spaces"),
        ("METRICS_TOKEN", "not-to-be-shown-\u00e9"),
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


def test_a_metrics_token_of_sixteen_characters_or_none_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("", "0123456789abcdef"):
        for each, given in {**NOWHERE, "MIGRATION_DATABASE_URL": "", "METRICS_TOKEN": token}.items():
            monkeypatch.setenv(each, given)
        assert runpy.run_path(str(ROOT / "portal/settings.py"))["METRICS_TOKEN"] == token


def test_a_refused_setting_ends_the_start_with_that_line() -> None:
    done = run("web", "--wait", "0", **NOWHERE, LOG_LEVEL="loud")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("driftwatch-portal web: LOG_LEVEL must be one of debug, info, warning, error, not 'loud'.\n")


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


@pytest.mark.parametrize("command", [web_command(0, 1), gateway_command(0), worker_command(1), beat_command(Path("x"))])
def test_a_process_imports_nothing_from_the_directory_that_it_is_started_in(tmp_path: Path, command: list[str]) -> None:
    for name in ("glob", "click", "kombu", "celery", "uvicorn", "portal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('anybody's code')\n")
    begin = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from portal.program import main; main._become(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", begin, *command, "--help"],
        cwd=tmp_path,
        env={**os.environ, **NOWHERE},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, "anybody" in done.stderr) == (0, False), done.stderr


def test_relative_paths_are_those_of_the_directory_in_which_a_process_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: dict[str, str] = {}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execve", lambda *words: became.update(words[2]))
    monkeypatch.setenv("SECRET_KEY_FILE", "keys/secret")
    monkeypatch.setenv("SIEM_DIRECTORY", "/srv/siem")
    monkeypatch.setenv("STATIC_ROOT", "")
    main._become(["/bin/true"], {})
    assert became["SECRET_KEY_FILE"] == str(tmp_path / "keys/secret")
    assert (became["SIEM_DIRECTORY"], became["STATIC_ROOT"]) == ("/srv/siem", "")


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_database_without_tables_is_named_by_doctor_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with as_owner() as cursor:
        cursor.execute("CREATE SCHEMA nothing")
        cursor.execute("GRANT USAGE ON SCHEMA nothing TO PUBLIC")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = nothing")
        monkeypatch.setattr(connection, "close", lambda: None)
        with pytest.raises(needs.NeedMissing, match=r"the database lacks \d+ migrations of this version"):
            main._doctor(parser().parse_args(["doctor"]))
    finally:
        monkeypatch.undo()
        connection.close()
        with as_owner() as cursor:
            cursor.execute("DROP SCHEMA nothing")


def test_an_address_that_another_program_has_is_named_and_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            needs.NeedMissing, match=rf"^127\.0\.0\.1:{port} \(--host, --port\): Address already in use$"
        ):
            needs.wait_for([partial(needs.address_is_free, "127.0.0.1", port)], 0)
    needs.address_is_free("127.0.0.1", port)


def test_a_host_that_is_none_of_this_machine_is_named() -> None:
    for host in ("192.0.2.1", "300.1.1.1", "no such host", "portal..example"):
        with pytest.raises(needs.NeedMissing, match=rf"^{host}:8000 \(--host, --port\): \S"):
            needs.address_is_free(host, 8000)
