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


def say(line: str) -> None:
    """One line to the person at the terminal, at once."""
    print(line, flush=True)


def main() -> int:
    """Run until interrupted. 0 after a clean stop, 1 with one clear line when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m portal.serve")
    parser.add_argument("--demo", action="store_true", help="with a sample estate")
    parser.add_argument("--no-sensors", action="store_true", help="the sample estate without its sensors")
    parser.add_argument("--reload", action="store_true", help="load changed code again")
    args = parser.parse_args()
    try:
        options = read_options(demo=args.demo, sensors=args.demo and not args.no_sensors, reload=args.reload)
        with lock(options.data):
            return _serve(options)
    except EmbeddedError as error:
        print(f"driftwatch: {error}", file=sys.stderr)
        return 1


def _serve(options: ServeOptions) -> int:
    supervisor = Supervisor(options.data / "logs", say)
    supervisor.catch_signals()
    try:
        _start(options, supervisor)
        supervisor.run_forever()
    except Interrupted:
        pass
    finally:
        say("Stopping …")
        supervisor.stop()
    say("Stopped. Everything is kept in " + str(options.data))
    return 0


def _start(options: ServeOptions, supervisor: Supervisor) -> None:
    stack = Stack(options, supervisor, say)
    stack.start_services()
    say("Preparing the database and static files …")
    stack.manage("prepare", "--credentials", str(options.credentials_file), *(["--demo"] if options.demo else []))
    say("Starting portal, push gateway, worker and beat …")
    supervisor.wait_ready(stack.start_portal())
    if options.sensors:
        _start_sensors(options, supervisor)
    _announce(options)


def _start_sensors(options: ServeOptions, supervisor: Supervisor) -> None:
    say("Enrolling the sample sensors …")
    secrets = read_json(options.data / "demo-tokens.json") or {}
    sensors, folder = estate.sensors_here(), options.data / "sensors"
    estate.enrol(sensors, f"http://127.0.0.1:{options.port}", secrets, folder)
    for program in estate.programs(sensors, folder):
        supervisor.start(program)


def _announce(options: ServeOptions) -> None:
    """The line that tells it serves, and who may sign in."""
    credentials: dict[str, Any] = read_json(options.credentials_file) or {}
    if credentials and options.demo:
        write_private(options.credentials_file, json.dumps({**credentials, "url": options.url}, indent=2) + "\n")
    say(f"Driftwatch is ready: {options.url}")
    for user in credentials.get("users", []):
        say(f"  {user['role']:<18} {user['email']:<32} {user['password']}")
    if not options.demo and credentials:
        # Shown once: whoever reads the terminal signs in and must choose a password of their own.
        options.credentials_file.unlink()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
