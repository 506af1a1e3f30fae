"""`make long` runs every part, whatever fails, and ends with a table and a status."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import long_run
from scripts.long_parts import PARTS, Part
from scripts.long_run import KEPT, MEASURED, MISSED, NOT_RUN, ROOT, exit_status, run, selected, table
from tests.system.stack import eventually

TESTS = """
import pytest

def test_a_promise_that_holds(figure):
    figure("requests", "0 of 900 failed", goal="0")
    figure("reads", "p50 80 ms")

def test_a_promise_that_breaks(figure):
    figure("slowest | batch", "2.4 s", goal="under 2 s", kept=False)
    assert 2.4 < 2

def test_an_error_before_the_figure(figure):
    raise ValueError("no such table")

@pytest.mark.skip(reason="needs pgbouncer")
def test_what_this_machine_lacks():
    pass
"""


def python(code: str) -> Part:
    return Part("part", "what it tries", 1, (sys.executable, "-c", code))


def of_tests(directory: Path, text: str, *arguments: str) -> Part:
    file = directory / "test_part.py"
    file.write_text(text)
    options = ("-p", "tests.results", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(directory))
    command = (sys.executable, "-m", "pytest", *options, *arguments, str(file))
    return Part("part", "what it tries", 1, command, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""})


def rows(part: Part, directory: Path, most_seconds: float = 250.0) -> list[tuple[str, str, str]]:
    return [(row.what, row.figure, row.outcome) for row in run(part, directory / "long", most_seconds)]


def test_figures_failures_and_skips_of_tests_are_rows(tmp_path: Path) -> None:
    assert rows(of_tests(tmp_path, TESTS), tmp_path) == [
        ("requests", "0 of 900 failed", KEPT),
        ("reads", "p50 80 ms", MEASURED),
        ("slowest | batch", "2.4 s", MISSED),
        ("a promise that breaks", "assert 2.4 < 2", MISSED),
        ("an error before the figure", "ValueError: no such table", MISSED),
        ("what this machine lacks", "needs pgbouncer", NOT_RUN),
    ]


def test_workers_of_xdist_report_figures_once(tmp_path: Path) -> None:
    held = TESTS.partition("def test_a_promise_that_breaks")[0]
    found = rows(of_tests(tmp_path, held, "-p", "xdist", "-n", "1"), tmp_path)
    assert found == [("requests", "0 of 900 failed", KEPT), ("reads", "p50 80 ms", MEASURED)]


def test_a_part_without_figures_shows_how_many_tests_passed(tmp_path: Path) -> None:
    part = of_tests(tmp_path, "def test_one(): pass\ndef test_two(): pass\n")
    assert rows(part, tmp_path) == [("what it tries", "2 passed", KEPT)]


def test_a_file_that_cannot_be_imported_is_missed(tmp_path: Path) -> None:
    ((_, reason, outcome),) = rows(of_tests(tmp_path, "import no_such_module\n"), tmp_path)
    assert (outcome, bool(reason)) == (MISSED, True)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("print('fine')", ("done", KEPT)),
        ("import sys; sys.exit(3)", ("ended with status 3", MISSED)),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ("ended with status -9", MISSED)),
    ],
)
def test_a_command_that_is_no_test_is_judged_by_its_status(tmp_path: Path, code: str, found: tuple[str, str]) -> None:
    assert rows(python(code), tmp_path) == [("what it tries", *found)]


def test_a_part_that_does_not_end_is_missed(tmp_path: Path) -> None:
    assert rows(python("import time; time.sleep(600)"), tmp_path, 0.0) == [
        ("what it tries", "stopped after 0 min", MISSED)
    ]


@pytest.fixture
def _interrupts_are_heeded() -> Iterator[None]:
    """A shell that starts the tests in its background lets them, and whatever they start, ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts_are_heeded")
@pytest.mark.parametrize(
    ("script", "ended_by"),
    [("trap '' INT; sleep 600 & echo $!; wait", signal.SIGKILL), ("sleep 600 & echo $!; wait", signal.SIGINT)],
    ids=["itself", "only its child"],
)
def test_what_ignores_its_interrupt_is_killed_with_its_children(
    monkeypatch: pytest.MonkeyPatch, script: str, ended_by: signal.Signals
) -> None:
    """What a shell starts in the background ignores it."""
    monkeypatch.setattr(long_run, "GRACE_SECONDS", 0.5 if ended_by == signal.SIGKILL else 60.0)
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        child = Path(f"/proc/{int(process.stdout.readline())}/stat")
        long_run._stop(process)
        assert process.returncode == -ended_by
    eventually(
        lambda: not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z", "the child is gone"
    )


def test_a_part_that_fails_does_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing, fine = python("print('because'); raise SystemExit(1)"), python("print('fine')")
    monkeypatch.setattr(long_run, "DIRECTORY", tmp_path / "long")
    monkeypatch.setattr(long_run, "selected", lambda _: [failing, fine])
    assert long_run.main() == 1
    printed = capsys.readouterr().out
    assert "\nbecause\n" in printed
    assert re.findall(r"\| (\w+) \| \d+ \|$", printed, re.MULTILINE) == [MISSED, KEPT]


def test_the_status_says_whether_something_was_missed_or_not_run() -> None:
    kept, missed, skipped = (("part", long_run.Row("", "", "", outcome, 0)) for outcome in (KEPT, MISSED, NOT_RUN))
    assert [exit_status(each) for each in ([kept], [kept, skipped], [skipped, missed])] == [0, 2, 1]


def test_the_table_is_markdown_whatever_a_figure_contains() -> None:
    row = long_run.Row("slowest | batch", "2.4 s", "under 2 s", MISSED, 81.4)
    assert table([("migrations", row)]).splitlines()[-1] == (
        r"| migrations | slowest \| batch | 2.4 s | under 2 s | missed | 81 |"
    )


def test_parts_are_chosen_by_name_and_an_unknown_one_names_those_that_exist() -> None:
    assert [part.name for part in selected("soak, siem")] == ["soak", "siem"]
    assert selected("") == list(PARTS)
    with pytest.raises(SystemExit, match=r"there is no part sok\. Parts: failover, "):
        selected("soak,sok")


def test_every_part_is_documented_and_names_files_that_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    documented = re.findall(r"^\| `([\w-]+)` \| (.+) \| (\d+) \|$", page, re.MULTILINE)
    assert documented == [(part.name, part.tries, str(part.minutes)) for part in PARTS]
    files = [word for part in PARTS for word in part.command if word.startswith(("tests/", "scripts/"))]
    assert [file for file in files if not (ROOT / file.partition("::")[0]).exists()] == []
