"""The execs around an alert as a tree: who started whom, in the order in which they ran."""

from __future__ import annotations

import datetime as dt
import shlex
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

MAX_INDENT: Final = 8
"""Steps of indentation; what is deeper says so in words."""
SAME_EXEC: Final = dt.timedelta(seconds=1)
"""Two reports of one exec differ by less, where their ids do."""


@dataclass(frozen=True)
class DriftNote:
    """What is known of an exec that drifted: its alert, where the reader may see one, and who wrote the file."""

    kind: str
    outcome: str
    alert: int | None = None
    writer: str = ""
    written_before: str = ""


@dataclass(frozen=True)
class TreeExec:
    """One exec, as the tree needs it. `above` are pid and start of the processes above, nearest first."""

    exec_id: uuid.UUID
    at: dt.datetime
    pid: int
    command: str
    uid: int | None = None
    started_at: str | None = None
    parent_name: str = ""
    above: tuple[tuple[int, str | None], ...] = ()
    missed: int = 0
    path: str = ""
    """The file, where its name is not how the command line begins."""
    drift: DriftNote | None = None


@dataclass(frozen=True)
class TreeLine:
    """One line of the tree. `relation` says how it comes to its place; `is_related`: above or below the alert."""

    ran: TreeExec
    depth: int
    relation: str
    is_alert: bool = False
    is_related: bool = False

    @property
    def indent(self) -> int:
        return min(self.depth, MAX_INDENT)


@dataclass(frozen=True)
class ProcessTree:
    """The tree that the alert is in, and the lines of the other ones."""

    lines: Sequence[TreeLine]
    others: Sequence[TreeLine] = ()
    missed: int = 0


@dataclass(eq=False)
class _Node:
    ran: TreeExec
    relation: str = ""
    parent: _Node | None = None
    children: list[_Node] = field(default_factory=list)


def tree_exec(exec_id: uuid.UUID, at: dt.datetime, detail: dict[str, Any], missed: int = 0) -> TreeExec:
    """Return a stored exec as the tree needs it."""
    argv = detail.get("argv") or [detail["path"]]
    is_cut = detail.get("argv_truncated") or (not detail.get("argv") and detail.get("path_truncated"))
    return TreeExec(
        exec_id=exec_id,
        at=at,
        pid=detail["pid"],
        command=f"{shlex.join(argv)} …" if is_cut else shlex.join(argv),
        uid=detail.get("uid"),
        started_at=detail.get("started_at"),
        parent_name=detail.get("parent_name") or "",
        above=tuple((each["pid"], each.get("started_at")) for each in detail.get("ancestors") or ()),
        missed=missed,
        # A process may call itself anything.
        path="" if argv[0] == detail["path"] else detail["path"] + "…" * bool(detail.get("path_truncated")),
    )


def process_tree(execs: Iterable[TreeExec], alert: TreeExec) -> ProcessTree:
    """Return the tree of the execs, with the alert's own added where it is not among them."""
    ordered = sorted(_with_alert(execs, alert), key=lambda each: (each.at, each.exec_id))
    nodes = _linked(ordered)
    of_alert = next(node for node in nodes if node.ran.exec_id == alert.exec_id)
    related = {id(node) for node in (*_above(of_alert), *_below(of_alert))}
    root = _above(of_alert)[-1]
    lines: list[TreeLine] = []
    others: list[TreeLine] = []
    for node in nodes:
        if node.parent is None:
            _write(node, of_alert, related, lines if node is root else others)
    return ProcessTree(lines, others, sum(each.missed for each in ordered))


def _with_alert(execs: Iterable[TreeExec], alert: TreeExec) -> list[TreeExec]:
    """Return the execs with the alert's own among them under its own id: by id, else by process and time."""
    found = list(execs)
    if any(each.exec_id == alert.exec_id for each in found):
        return [replace(each, drift=alert.drift) if each.exec_id == alert.exec_id else each for each in found]
    same = [each for each in found if each.pid == alert.pid and abs(each.at - alert.at) <= SAME_EXEC]
    if same:
        nearest = min(same, key=lambda each: abs(each.at - alert.at))
        own = replace(nearest, exec_id=alert.exec_id, drift=alert.drift)
        return [own if each is nearest else each for each in found]
    return [*found, alert]


def _linked(ordered: Sequence[TreeExec]) -> list[_Node]:
    """Return the execs as nodes, each with the one that it comes from: an earlier one, so there is no circle."""
    of_pid: dict[int, list[_Node]] = defaultdict(list)
    nodes = []
    for ran in ordered:
        node = _Node(ran)
        _link(node, of_pid)
        of_pid[ran.pid].append(node)
        nodes.append(node)
    return nodes


def _link(node: _Node, of_pid: dict[int, list[_Node]]) -> None:
    ran = node.ran
    before = _latest(of_pid[ran.pid], ran.started_at, ran.at)
    if before is not None:
        node.parent, node.relation = before, "then executed, in the same process"
    else:
        forked_at = dt.datetime.fromisoformat(ran.started_at) if ran.started_at else ran.at
        for step, (pid, started_at) in enumerate(ran.above):
            parent = _latest(of_pid[pid], started_at, forked_at) or _latest(of_pid[pid], started_at, ran.at)
            if parent is not None:
                node.parent = parent
                node.relation = f"started by process {pid}"
                if step:
                    node.relation += ", through a process that executed nothing"
                break
    if node.parent is not None:
        node.parent.children.append(node)
    elif ran.above:
        name = f"{ran.parent_name}, " if ran.parent_name else ""
        node.relation = f"started by {name}process {ran.above[0][0]}, whose start is not recorded"
    else:
        node.relation = "who started it is not recorded"


def _latest(nodes: Sequence[_Node], started_at: str | None, until: dt.datetime) -> _Node | None:
    """Return a process's latest exec until a time, told from others of its pid by its start where that is known."""
    for node in reversed(nodes):
        same = not started_at or not node.ran.started_at or node.ran.started_at == started_at
        if same and node.ran.at <= until:
            return node
    return None


def _above(node: _Node) -> list[_Node]:
    """Return the node and all above it, up to the root."""
    found = [node]
    while found[-1].parent is not None:
        found.append(found[-1].parent)
    return found


def _below(node: _Node) -> list[_Node]:
    found = [node]
    for each in found:
        found.extend(each.children)
    return found


def _write(root: _Node, of_alert: _Node, related: set[int], lines: list[TreeLine]) -> None:
    """Add a tree's lines, depth first; without recursion, for a chain may be as long as there are execs."""
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        is_alert = node is of_alert
        lines.append(TreeLine(node.ran, depth, node.relation, is_alert=is_alert, is_related=id(node) in related))
        waiting.extend((child, depth + 1) for child in reversed(node.children))
