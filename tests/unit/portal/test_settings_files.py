"""The settings of a plain host: whoever calls `driftwatch-portal` in a shell has those of the units."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portal.program.needs import NeedMissing
from portal.program.settings_files import add_settings_of_host
from tests.unit.portal.program_runs import runs

NAMES = ("SECRET_KEY", "SECRET_KEY_FILE", "DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL", "MIGRATION_DATABASE_URL")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment that begins empty but for the directory."""
    made = {"SETTINGS_DIRECTORY": str(tmp_path)}
    monkeypatch.setattr(os, "environ", made)
    return made


def write(environment: dict[str, str], portal: str, owner: str = "") -> None:
    directory = Path(environment["SETTINGS_DIRECTORY"])
    (directory / "portal.env").write_text(portal)
    (directory / "owner.env").write_text(owner)


OWNER = "MIGRATION_DATABASE_URL=postgresql://owner@there/driftwatch\n"


def test_both_files_are_read_and_what_is_set_stays(environment: dict[str, str]) -> None:
    environment["REDIS_URL"] = "redis://here"
    write(environment, "SECRET_KEY=s\nDATABASE_URL=postgresql://there/driftwatch\nREDIS_URL=redis://r\n", OWNER)
    add_settings_of_host()
    assert {name: environment[name] for name in NAMES if name in environment} == {
        "SECRET_KEY": "s",
        "DATABASE_URL": "postgresql://there/driftwatch",
        "REDIS_URL": "redis://here",
        "MIGRATION_DATABASE_URL": "postgresql://owner@there/driftwatch",
    }


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://there/restored",
        "postgresql://here/driftwatch",
        "postgresql://there:5433/driftwatch",
        "postgresql:///driftwatch",
        "host=here dbname=driftwatch",
        "nonsense",
    ],
)
@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize("portal", ["DATABASE_URL=postgresql://portal@there/driftwatch\n", ""])
def test_the_owner_of_another_database_than_the_one_that_is_set_is_left_out_with_a_line(
    environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    url: str,
    portal: str,
    is_file: bool,
) -> None:
    (tmp_path / "url").write_text(f"{url}\n")
    environment.update({"DATABASE_URL_FILE": str(tmp_path / "url")} if is_file else {"DATABASE_URL": url})
    write(environment, f"SECRET_KEY=s\n{portal}", OWNER)
    add_settings_of_host()
    assert (environment["SECRET_KEY"], "MIGRATION_DATABASE_URL" in environment) == ("s", False)
    said = capsys.readouterr().err
    assert f"{tmp_path}/owner.env is not used: DATABASE_URL is set to another database" in said
    assert (said.count("\n"), "set MIGRATION_DATABASE_URL too" in said) == (1, True)


@pytest.mark.parametrize(
    "url", ["postgresql://root:p@there:5432/driftwatch?sslmode=require", "host=there dbname=driftwatch user=other"]
)
def test_the_owner_is_used_where_the_same_database_is_set_in_other_words(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], url: str
) -> None:
    environment["DATABASE_URL"] = url
    write(environment, "SECRET_KEY=s\nDATABASE_URL=postgresql://portal@there/driftwatch\n", OWNER)
    add_settings_of_host()
    assert environment["MIGRATION_DATABASE_URL"] == "postgresql://owner@there/driftwatch"
    assert environment["DATABASE_URL"] == url
    assert capsys.readouterr().err == ""


def test_without_an_owner_s_file_another_database_needs_no_line(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    environment["DATABASE_URL"] = "postgresql://here/restored"
    write(environment, "SECRET_KEY=s\nDATABASE_URL=postgresql://there/driftwatch\n")
    add_settings_of_host()
    assert (environment["DATABASE_URL"], capsys.readouterr().err) == ("postgresql://here/restored", "")


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_FILE"])
def test_a_process_that_has_its_settings_reads_none(environment: dict[str, str], name: str) -> None:
    environment[name] = "of its unit"
    write(
        environment, "SECRET_KEY=other\nPUBLIC_URL=https://other\n", "MIGRATION_DATABASE_URL=postgresql://owner@x/y\n"
    )
    before = dict(environment)
    add_settings_of_host()
    assert environment == before


def test_a_secret_that_is_given_as_a_file_is_not_given_twice(environment: dict[str, str]) -> None:
    environment.update({"DATABASE_URL_FILE": "/run/url", "REDIS_URL": "redis://here"})
    write(environment, "SECRET_KEY=s\nDATABASE_URL=postgresql://x/y\nREDIS_URL_FILE=/run/redis\n")
    add_settings_of_host()
    assert "DATABASE_URL" not in environment
    assert "REDIS_URL_FILE" not in environment


def test_a_variable_that_is_set_to_nothing_stays_so(environment: dict[str, str]) -> None:
    environment["MIGRATION_DATABASE_URL"] = ""
    write(environment, "SECRET_KEY=s\n", "MIGRATION_DATABASE_URL=postgresql://owner@x/y\n")
    add_settings_of_host()
    assert environment["MIGRATION_DATABASE_URL"] == ""


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("REDIS_URL=redis://:pa$$word`id`@host/0", "redis://:pa$$word`id`@host/0"),
        ("REDIS_URL=redis://:p#a;s@host/0", "redis://:p#a;s@host/0"),
        ("REDIS_URL='with \"quotes\" and \\ in it'", 'with "quotes" and \\ in it'),
        ('REDIS_URL="with spaces "', "with spaces "),
        ("  REDIS_URL=trimmed  ", "trimmed"),
        ("REDIS_URL=a=b=c", "a=b=c"),
        ("REDIS_URL=two words", "two words"),
        ("REDIS_URL=", ""),
        ("REDIS_URL=''", ""),
        ("REDIS_URL=first\nREDIS_URL=last", "last"),
    ],
)
def test_values_are_read_as_systemd_reads_them(environment: dict[str, str], line: str, value: str) -> None:
    write(environment, f"# a comment\n; another\n\nSECRET_KEY=s\n{line}\r\n")
    add_settings_of_host()
    assert environment["REDIS_URL"] == value


@pytest.mark.parametrize(
    "line", ["export REDIS_URL=x", "REDIS_URL", "=x", "9A=x", "REDIS_URL = x", 'A="x', "A='x'y", "A=x\\", 'A=x"y']
)
def test_a_line_that_shell_and_systemd_read_differently_is_named_without_its_value(
    environment: dict[str, str], line: str
) -> None:
    write(environment, f"SECRET_KEY=not-to-be-shown\n{line}\n")
    with pytest.raises(NeedMissing, match=r"portal\.env, line 2: this is not NAME=VALUE") as raised:
        add_settings_of_host()
    assert "not-to-be-shown" not in str(raised.value)
    assert "SECRET_KEY" not in environment


def test_who_may_not_read_the_portal_s_file_is_told_so_and_the_owner_s_file_is_root_s_alone(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(environment, "SECRET_KEY=s\n", "MIGRATION_DATABASE_URL=postgresql://owner@x/y\n")
    locked, read = "owner.env", Path.read_text

    def read_text(self: Path) -> str:
        if self.name == locked:
            raise PermissionError
        return read(self)

    monkeypatch.setattr(Path, "read_text", read_text)
    add_settings_of_host()
    assert (environment.pop("SECRET_KEY"), "MIGRATION_DATABASE_URL" in environment) == ("s", False)
    locked = "portal.env"
    with pytest.raises(NeedMissing, match=r"portal\.env cannot be read: run this as root$"):
        add_settings_of_host()


def test_every_command_has_the_host_s_settings(tmp_path: Path) -> None:
    (tmp_path / "portal.env").write_text("SECRET_KEY=s\nREDIS_URL=redis://127.0.0.1:1/0\nDATABASE_URL=nonsense\n")
    given = {"SETTINGS_DIRECTORY": str(tmp_path)}
    gateway, doctor, other = runs([(("gateway", "--wait", "0"), given), (("doctor",), given), (("doctor",), {})])
    assert (gateway.status, "Redis at 127.0.0.1:1" in gateway.error) == (1, True)
    assert (doctor.status, "DATABASE_URL" in doctor.error) == (1, True)
    assert "SECRET_KEY is not set" in other.error
