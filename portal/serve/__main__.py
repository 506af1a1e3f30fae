"""`python -m portal.serve [--demo] [--reload]`: what `make demo`, `make run` and `make dev` start."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from portal.embedded.errors import EmbeddedError
from portal.serve import estate
from portal.serve.options import ServeOptions, lock, read_json, read_options, write_private
from portal.serve.stack import Stack
from portal.serve.supervisor import Interrupted, Supervisor


def print_line(line: str) -> None:
    """Print one line to the terminal at once."""
    print(line, flush=True)


def main() -> int:
    """Run until interrupted. 0 after a clean stop, 1 with one clear line when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m portal.serve")
    parser.add_argument("--demo", action="store_true", help="with a sample estate")
    parser.add_argument("--no-sensors", action="store_true", help="the sample estate without its sensors")
    parser.add_argument("--reload", action="store_true", help="reload changed code")
    args = parser.parse_args()
    try:
        options = read_options(demo=args.demo, sensors=args.demo and not args.no_sensors, reload=args.reload)
        with lock(options.data):
            return _serve(options)
    except EmbeddedError as error:
        print(f"driftwatch: {error}", file=sys.stderr)
        return 1


def _serve(options: ServeOptions) -> int:
    supervisor = Supervisor(options.data / "logs", print_line)
    supervisor.catch_signals()
    try:
        _start(options, supervisor)
        supervisor.run_forever()
    except Interrupted:
        pass
    finally:
        print_line("Stopping …")
        supervisor.stop()
    print_line("Stopped. Everything is kept in " + str(options.data))
    return 0


def _start(options: ServeOptions, supervisor: Supervisor) -> None:
    stack = Stack(options, supervisor, print_line)
    stack.start_services()
    print_line("Preparing the database and static files …")
    stack.manage("prepare", "--credentials", str(options.credentials_file), *(["--demo"] if options.demo else []))
    print_line("Starting portal, push gateway, worker and beat …")
    supervisor.wait_ready(stack.start_portal())
    if options.sensors:
        _start_sensors(options, supervisor)
    _announce(options)


def _start_sensors(options: ServeOptions, supervisor: Supervisor) -> None:
    print_line("Enrolling the sample sensors …")
    secrets = read_json(options.data / "demo-tokens.json") or {}
    sensors, directory = estate.sensors_here(), options.data / "sensors"
    estate.enrol(sensors, f"http://127.0.0.1:{options.port}", secrets, directory)
    for program in estate.programs(sensors, directory):
        supervisor.start(program)


def _announce(options: ServeOptions) -> None:
    """Print the address, and the sign-ins of a new installation."""
    credentials: dict[str, Any] = read_json(options.credentials_file) or {}
    if credentials and options.demo:
        write_private(options.credentials_file, json.dumps({**credentials, "url": options.url}, indent=2) + "\n")
    print_line(f"Driftwatch is ready: {options.url}")
    for user in credentials.get("users", []):
        print_line(f"  {user['role']:<18} {user['email']:<32} {user['password']}")
    if not options.demo and credentials:
        # Shown once: the one-time password must be changed at the first sign-in.
        options.credentials_file.unlink()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
