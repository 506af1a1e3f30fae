"""The command line of `driftwatch-portal`."""

from __future__ import annotations

import argparse
from pathlib import Path

from portal.command_lines import web_processes
from sensor.version import VERSION

ADDRESS = "127.0.0.1"


def parser() -> argparse.ArgumentParser:
    """Return the parser; docs/operators.md#driftwatch-portal has the same commands."""
    root = argparse.ArgumentParser(prog="driftwatch-portal", description="One process of Driftwatch's portal.")
    root.add_argument("--version", action="version", version=f"driftwatch-portal {VERSION}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    web = _command(commands, "web", "serve pages and the API")
    _address(web, 8000)
    web.add_argument(
        "--processes", type=_count, default=web_processes(), metavar="N", help="default: one per core, at most 4"
    )
    _address(_command(commands, "gateway", "serve the sensors' push streams"), 8001)
    worker = _command(commands, "worker", "run tasks")
    worker.add_argument("--concurrency", type=_count, default=2, metavar="N", help="processes (default: 2)")
    beat = _command(commands, "beat", "send tasks at their time; exactly one")
    beat.add_argument(
        "--schedule", type=Path, metavar="FILE", help="keeps what was sent last (default: beat-schedule in DATA_DIR)"
    )
    _command(commands, "migrate", "bring the database to this version")
    init = _command(commands, "init", "bring the database to this version; print the first Owner's one-time link")
    init.add_argument("email", metavar="EMAIL", help="the Owner's address, with which they sign in")
    init.add_argument("--name", default="Owner", help="the Owner's name (default: Owner)")
    commands.add_parser("collect", help="collect the static files into STATIC_ROOT, when an image is built")
    doctor = commands.add_parser("doctor", help="check everything that health knows; status 0 only if all is well")
    doctor.add_argument("--quiet", action="store_true", help="print only what is not well, for cron")
    doctor.add_argument("--json", action="store_true", help="print JSON for programs")
    manage = commands.add_parser("manage", help="run any other command of manage.py", add_help=False)
    manage.add_argument("arguments", nargs=argparse.REMAINDER)
    return root


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument(
        "--wait",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="longest wait for PostgreSQL, Redis and the migrations, in seconds (default: 60)",
    )
    return command


def _address(command: argparse.ArgumentParser, port: int) -> None:
    command.add_argument("--host", default=ADDRESS, help=f"address to listen on (default: {ADDRESS})")
    command.add_argument("--port", type=_port, default=port, help=f"default: {port}")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 256")
    return int(text)


def _seconds(text: str) -> float:
    if not text.isdecimal() or int(text) > 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 3600")
    return float(text)
