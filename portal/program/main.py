"""Check what one process needs, then become it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import portal
from portal.command_lines import (
    WEB_ENV,
    beat_command,
    gateway_command,
    metrics_environment,
    web_command,
    worker_command,
)
from portal.program import needs, settings_files
from portal.program.options import parser

CODE: Final = Path(portal.__file__).resolve().parents[1]
"""The directory of the packages: site-packages, or the checkout."""
PATHS: Final = ("_FILE", "_DIR", "_DIRECTORY", "_ROOT")
"""Ends of the names of variables that have a path."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; where its status is not 0, one line on standard error says why."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    arguments = parser().parse_args(argv)
    try:
        settings_files.add_settings_of_host()
        return COMMANDS[arguments.command](arguments)
    except needs.NeedMissing as missing:
        sys.stderr.write(f"driftwatch-portal {arguments.command}: {missing}\n")
        return 1


def _web(arguments: argparse.Namespace) -> int:
    needs.settings_are_valid()
    address = partial(needs.address_is_free, arguments.host, arguments.port)
    needs.wait_for([needs.database_responds, needs.database_has_this_version, address], arguments.wait)
    needs.static_files_are_collected()
    try:
        needs.redis_responds()
    except needs.NeedMissing as missing:
        # Pages, saving and ingest go on without it.
        sys.stderr.write(f"driftwatch-portal web: {missing}\n")
    threads = os.environ.get("WEB_THREADS") or WEB_ENV["WEB_THREADS"]
    pool = {"DATABASE_POOL": str(int(threads) + 1)}
    env = {**WEB_ENV, **pool, **metrics_environment()}
    _become(web_command(arguments.port, arguments.processes, arguments.host), env)


def _gateway(arguments: argparse.Namespace) -> int:
    needs.gateway_settings_are_valid()
    address = partial(needs.address_is_free, arguments.host, arguments.port)
    needs.wait_for([needs.redis_responds, address], arguments.wait)
    _become(gateway_command(arguments.port, arguments.host))


def _worker(arguments: argparse.Namespace) -> int:
    _wait_for_backend(arguments)
    _become(worker_command(arguments.concurrency))


def _beat(arguments: argparse.Namespace) -> int:
    _wait_for_backend(arguments)
    schedule = (arguments.schedule or Path(os.environ.get("DATA_DIR") or ".") / "beat-schedule").absolute()
    try:
        schedule.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise needs.NeedMissing(f"{schedule.parent} (--schedule): {error.strerror}") from None
    if not os.access(schedule.parent, os.W_OK):
        raise needs.NeedMissing(f"{schedule.parent} (--schedule) cannot be written")
    _become(beat_command(schedule))


def _wait_for_backend(arguments: argparse.Namespace) -> None:
    needs.settings_are_valid()
    services = [needs.database_responds, needs.redis_responds, needs.database_has_this_version]
    needs.wait_for(services, arguments.wait)


def _migrate(arguments: argparse.Namespace) -> int:
    from django.core.management import CommandError, call_command

    needs.settings_are_valid()
    needs.wait_for([needs.database_responds], arguments.wait)
    try:
        call_command("migrate", interactive=False, verbosity=1)
    except CommandError as error:
        raise needs.NeedMissing(str(error)) from None
    return 0


def _init(arguments: argparse.Namespace) -> int:
    status = _migrate(arguments)
    from accounts.models import User
    from accounts.roles import Role

    if User.objects.filter(role=Role.OWNER, is_active=True).exists():
        sys.stdout.write(
            "There is an Owner already; `driftwatch-portal manage owner_link EMAIL` prints a new link for one.\n"
        )
        return status
    from django.core.management import CommandError, call_command

    try:
        call_command("owner_link", arguments.email, name=arguments.name)
    except CommandError as error:
        raise needs.NeedMissing(str(error)) from None
    return status


def _collect(arguments: argparse.Namespace) -> int:
    needs.settings_are_valid()
    needs.static_files_are_collected()
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from django.core.management import call_command

    needs.settings_are_valid()
    _explained(partial(call_command, "doctor", quiet=arguments.quiet, json=arguments.json))
    return 0


def _manage(arguments: argparse.Namespace) -> int:
    from django.core.management import execute_from_command_line

    from accounts.request_context import set_program

    needs.settings_are_valid()
    set_program(" ".join(["manage.py", *arguments.arguments[:1]]))
    _explained(partial(execute_from_command_line, ["driftwatch-portal manage", *arguments.arguments]))
    return 0


def _explained(command: Callable[[], object]) -> None:
    """Run a command; name what is missing in one line, with a traceback only of what is not explained by that."""
    from django.db import DatabaseError
    from redis import RedisError

    try:
        command()
    except (DatabaseError, RedisError):
        needs.database_responds()
        needs.database_has_this_version()
        needs.redis_responds()
        raise


def _become(command: list[str], env: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process, so that signals reach the server itself. What is set already stays."""
    # Only migrations know the owner of the tables; programs that serve must not.
    secret = {"MIGRATION_DATABASE_URL": "", "MIGRATION_DATABASE_URL_FILE": ""}
    given = {name: _absolute(name, value) for name, value in os.environ.items()}
    # `python -m`, uvicorn and Celery import from the working directory first: in /tmp anybody's glob.py.
    os.chdir(CODE)
    os.execve(command[0], command, {**(env or {}), **given, **secret})  # noqa: S606 - our own command line


def _absolute(name: str, value: str) -> str:
    """Return a variable's value; a relative path as it is from any directory."""
    return str(Path(value).absolute()) if value and name.endswith(PATHS) else value


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "web": _web,
    "gateway": _gateway,
    "worker": _worker,
    "beat": _beat,
    "migrate": _migrate,
    "init": _init,
    "collect": _collect,
    "doctor": _doctor,
    "manage": _manage,
}
