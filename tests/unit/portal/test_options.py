"""PORT and DATA_DIR: each mistake gives one clear line."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import config
from portal.embedded.errors import EmbeddedError
from portal.serve import options


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


def test_a_busy_port_is_reported_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        with pytest.raises(EmbeddedError, match=f"Port {port} is in use"):
            options.read_options(demo=True, sensors=True, reload=False)


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "80.5"])
def test_an_invalid_port_is_rejected(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(EmbeddedError, match="PORT must be a number"):
        options.read_options(demo=True, sensors=True, reload=False)


def test_two_runs_never_share_a_data_dir(tmp_path: Path) -> None:
    with options.lock(tmp_path / "data"), pytest.raises(EmbeddedError, match="in use by another Driftwatch"):
        options.lock(tmp_path / "data")


def test_the_secret_key_is_created_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = options.secret_key(tmp_path)
    assert options.secret_key(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600


def test_a_long_data_dir_gets_a_short_directory_for_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    directory = options.socket_directory(deep)
    assert len(str(directory)) <= options.MAX_SOCKET_DIRECTORY
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.rmdir()


def test_a_setting_that_is_not_a_boolean_is_rejected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SWITCH", "maybe")
    with pytest.raises(ImproperlyConfigured, match="SOME_SWITCH must be true or false"):
        config.boolean("SOME_SWITCH", default=False, help_="")


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("SOME_SECRET_FILE", str(tmp_path / "key"))
    assert config.secret("SOME_SECRET", "") == "from a file"


def test_a_missing_secret_aborts_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_SECRET", raising=False)
    with pytest.raises(ImproperlyConfigured, match="SOME_SECRET is not set"):
        config.secret("SOME_SECRET", "")


def test_the_gateway_s_port_is_reserved_until_it_starts() -> None:
    chosen = options.read_options(demo=True, sensors=True, reload=False)
    with chosen.gateway:
        for _ in range(2):
            with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", chosen.gateway_port))
            socket.create_server(("127.0.0.1", chosen.gateway_port)).close()
