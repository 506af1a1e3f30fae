"""Sets of attacker's drops: `second_drops.jsonl`, by somebody who had not seen the rules, and `third_drops.jsonl`.

    python -m tests.system.second_drops DIRECTORY PAYLOAD

puts each set's scripts into a directory below the first, and what they bring into the container into the other.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

SETS: Final = {name: Path(__file__).with_name(f"{name}_drops.jsonl") for name in ("second", "third")}
PROGRAM: Final = "#include <stdio.h>\nint main(int count, char **words) { return puts(words[0]) < 0 || !count; }\n"
NOBODY: Final = "setpriv --reuid=65534 --regid=65534 --clear-groups"


class Drop(NamedTuple):
    """One way to bring a program into a container and to run it.

    `by`: `workload` or `exec`. `runs` is the path of what runs in the end; `writer` the program that
    wrote its data last, as whoever wrote the drop sees it. `let_through` are the starter rules that hide it, as their
    notes say: it has the workload install the attacker's package, or run the tool with the attacker's settings.
    """

    name: str
    what: str
    by: str
    user: str
    script: str
    runs: str
    writer: str
    needs: tuple[str, ...]
    let_through: tuple[str, ...] = ()

    def command(self, script: str) -> str:
        """Return the command that runs the script at this path as the drop's user."""
        return f"cd /tmp; {NOBODY + ' ' if self.user == 'nobody' else ''}/bin/sh {script}"

    def is_run(self, path: str) -> bool:
        """Return whether an event of this path is of what the drop runs."""
        return path == self.runs

    @property
    def is_read(self) -> bool:
        """Whether an interpreter reads it, so that no exec of it is there to be seen."""
        return f"\nsh {self.runs}\n" in self.script

    def may_be_written_by(self, name: str | None) -> bool:
        """Return whether a writer's name is right, or unknown: `python3` is also called `python3.13`."""
        return name is None or name == self.writer or name.startswith(f"{self.writer}.")


def read_drops(path: Path) -> list[Drop]:
    """Return the drops of a file of JSON lines."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [
        Drop(
            row["id"],
            row["what"],
            row["by"],
            row["user"],
            row["script"],
            row["runs"],
            row["writer"],
            tuple(row.get("needs", ())),
            tuple(row.get("let_through", ())),
        )
        for row in rows
    ]


def write_drops(directory: Path, payload: Path) -> None:
    """Write each set's list and scripts, and the payload: a program and a script that print their name."""
    for name, source in SETS.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, directory / name / "drops.jsonl")
        for number, drop in enumerate(read_drops(source)):
            (directory / name / f"{number}.sh").write_text(drop.script)
    payload.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-O1", "-static", "-o", str(payload / "payload"), "-x", "c", "-"]
    subprocess.run(command, input=PROGRAM, text=True, check=True)
    (payload / "payload.sh").write_text('#!/bin/sh\necho "$0"\n')
    (payload / "payload.sh").chmod(0o755)


if __name__ == "__main__":
    write_drops(Path(sys.argv[1]), Path(sys.argv[2]))
