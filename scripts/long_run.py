"""`make long [ONLY=failover,soak]`: run the parts of scripts/long_parts.py one after the other; end with a table.

What a part prints goes to `.long/NAME.txt`. A part that fails does not stop the rest. Status 0: everything was kept;
1: something was missed; 2: nothing was missed, but something was not run.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from scripts.long_parts import PARTS, Part

ROOT: Final = Path(__file__).resolve().parents[1]
DIRECTORY: Final = ROOT / ".long"
KEPT: Final = "kept"
MISSED: Final = "missed"
NOT_RUN: Final = "not run"
MEASURED: Final = "measured"
"""Without a goal."""
GRACE_SECONDS: Final = 60.0
"""From SIGINT, on which pytest removes its containers, to SIGKILL."""
LAST_LINES: Final = 20


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    figure: str
    goal: str
    outcome: str
    seconds: float


def selected(only: str) -> list[Part]:
    """Return the parts of these names, or all; exit with the names that exist where one does not."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {part.name: part for part in PARTS}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"make long: there is no part {', '.join(unknown)}. Parts: {', '.join(known)}")
    return [known[name] for name in names] or list(PARTS)


def run(part: Part, directory: Path, most_seconds: float) -> list[Row]:
    """Run one part to its end; return its rows."""
    directory.mkdir(exist_ok=True)
    results, output = directory / f"{part.name}.jsonl", directory / f"{part.name}.txt"
    results.unlink(missing_ok=True)
    began = time.monotonic()
    with output.open("wb") as log:
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            env={**os.environ, **part.environment, "DRIFTWATCH_RESULTS": str(results)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        problem, status = "", 0
        try:
            status = process.wait(most_seconds)
        except subprocess.TimeoutExpired:
            problem = f"stopped after {most_seconds / 60:.0f} min"
            _stop(process)
        except KeyboardInterrupt:
            _stop(process)
            raise
    if not problem and status:
        problem = f"ended with status {status}"
    return list(_rows(part, results, problem, time.monotonic() - began))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the part with everything in its process group."""
    for each in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, each)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)


def _rows(part: Part, results: Path, problem: str, seconds: float) -> Iterator[Row]:
    tests = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    rows = [
        Row(figure["what"], figure["value"], figure["goal"], _outcome(figure), test["seconds"])
        for test in tests
        for figure in test["figures"]
    ]
    rows += [
        Row(_sentence(test["test"]), test["reason"], "", outcome, test["seconds"])
        for outcome, word in ((MISSED, "failed"), (NOT_RUN, "skipped"))
        for test in tests
        if test["outcome"] == word
    ]
    passed = sum(test["outcome"] == "passed" for test in tests)
    if problem and not any(row.outcome == MISSED for row in rows):
        rows.append(Row(part.tries, problem, "", MISSED, seconds))
    elif not rows:
        rows.append(Row(part.tries, f"{passed} passed" if tests else "done", "", KEPT, seconds))
    yield from rows


def _outcome(figure: Mapping[str, Any]) -> str:
    if not figure["kept"]:
        return MISSED
    return KEPT if figure["goal"] else MEASURED


def _sentence(test: str) -> str:
    return test.rpartition("::")[2].removeprefix("test_").replace("_", " ")


def table(rows: Sequence[tuple[str, Row]]) -> str:
    """Return rows by part as a Markdown table."""
    lines = ["| part | what | figure | goal | | seconds |", "|---|---|---|---|---|---:|"]
    for name, row in rows:
        cells = (name, row.what, row.figure, row.goal, row.outcome, f"{row.seconds:.0f}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def exit_status(rows: Sequence[tuple[str, Row]]) -> int:
    """Return 1 where something was missed, 2 where something was not run, else 0."""
    outcomes = {row.outcome for _, row in rows}
    return 1 if MISSED in outcomes else 2 if NOT_RUN in outcomes else 0


def main() -> int:
    """Run what is wanted; return the exit status."""
    parts = selected(os.environ.get("ONLY", ""))
    minutes = sum(part.minutes for part in parts)
    print(f"{len(parts)} parts, about {minutes} min on two idle cores; their output is in {DIRECTORY}", flush=True)
    rows: list[tuple[str, Row]] = []
    try:
        for part in parts:
            print(f"— {part.name}: {part.tries} ({part.minutes} min)", flush=True)
            found = run(part, DIRECTORY, part.most_minutes * 60)
            rows += [(part.name, row) for row in found]
            if any(row.outcome == MISSED for row in found):
                lines = (DIRECTORY / f"{part.name}.txt").read_text(errors="replace").splitlines()
                print("\n".join(lines[-LAST_LINES:]), flush=True)
    except KeyboardInterrupt:
        print("Stopped; this is what has ended by then.")
        return 130
    finally:
        machine = f"{os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"
        print(f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}\n\n{table(rows)}")
    return exit_status(rows)


if __name__ == "__main__":
    sys.exit(main())
