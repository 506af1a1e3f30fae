"""Runs of `driftwatch-portal` that end at once, each in a fork of one process that has loaded Django, which takes long.

As a program it reads cases from standard input, and prints what became of each, both as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]


OF_NO_HOST = {"SETTINGS_DIRECTORY": "/nonexistent"}
"""This machine's settings are not the test's."""


class Ended(NamedTuple):
    status: int
    output: str
    error: str


def runs(cases: Sequence[tuple[Sequence[str], Mapping[str, str]]]) -> list[Ended]:
    """Run the program once with the words and the environment of each case, and nothing else of this environment."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.portal.program_runs"],
        cwd=ROOT,
        env={**{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}, **OF_NO_HOST},
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return [Ended(*each) for each in json.loads(done.stdout)]


def _run(words: Sequence[str], env: Mapping[str, str]) -> Ended:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
        pid = os.fork()
        if not pid:
            os.dup2(output.fileno(), 1)
            os.dup2(error.fileno(), 2)
            os.environ.update(env)
            os._exit(_status(words))
        _, waited = os.waitpid(pid, 0)
        output.seek(0)
        error.seek(0)
        return Ended(os.waitstatus_to_exitcode(waited), output.read().decode(), error.read().decode())


def _status(words: Sequence[str]) -> int:
    from portal.program.main import main

    try:
        status = main(words)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - what a person would see
        traceback.print_exc()
        status = 120
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    # Of Django what needs no settings.
    import rest_framework

    assert rest_framework
    json.dump([_run(*case) for case in json.load(sys.stdin)], sys.stdout)
