"""What became of an exec in progress: what its process ran, and the events of that."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sensor.capture.fanotify.exec_in_progress import ExecInProgress, exec_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sensor.capture.fanotify.namespaces import Namespace, NamespaceAt, Namespaces
    from sensor.capture.fanotify.process_log import EndedExec, ProcessLog
    from sensor.capture.fanotify.procfs import Fork, ProcessFacts
    from sensor.capture.fanotify.seen_execs import SeenExecs
    from sensor.container.identify import Resolved
    from sensor.judgement.examine import Examiner
    from sensor.wire import Event


class ExecOutcomes:
    """Reads the process connector's log where there is one, and /proc."""

    def __init__(self, examiner: Examiner, process_log: ProcessLog | None) -> None:
        self._examiner, self._process_log = examiner, process_log

    def facts(self, opened: ExecInProgress) -> ProcessFacts | None:
        """Return the facts of the process, from when it ran this file if that was logged; None where it is gone.

        Where it ran what was opened as the program's interpreter, those of that exec.
        """
        for each in filter(None, (opened.interpreter, opened)):
            noted = self._logged(each)
            if noted is not None:
                opened.is_certain = True
                return opened.own_facts(noted)
        now = opened.facts_now()
        if self._process_log is None or not opened.is_settled(now):
            opened.is_certain = True
        return opened.own_facts(now)

    def events(self, opened: ExecInProgress, facts: ProcessFacts | None) -> Iterator[Event]:
        """Yield the event of what ran, if it drifted; of the program and of its interpreter where both ran."""
        interpreter = opened.interpreter
        if interpreter is not None and interpreter.is_running(facts):
            yield from self._examined(interpreter, facts)
            facts = self._logged(opened)
            if facts is None:
                return
            opened = dataclasses.replace(opened, interpreter=None)
        yield from self._examined(opened, facts)

    def count_ended(self, ended: Iterable[EndedExec], seen: SeenExecs, spaces: Namespaces) -> None:
        """Count the execs that nothing else shows: of a memfd, or on a mount that is not watched."""
        for each in ended:
            if not seen.may_have(each):
                self.count_gone(each.where, spaces.at(each.where) or spaces.above(each.above))

    def count_gone(self, where: NamespaceAt, space: Namespace | None) -> None:
        """Count a program that can't be judged, for the container of a namespace where that is one.

        Without a namespace nothing is known of the container, but that a service of the node's is none.
        """
        if space is None:
            if not where.is_nodes:
                self._examiner.lose("process_gone")
            return
        resolved = self._container(space)
        if resolved is not None:
            self._examiner.lose("process_gone", resolved)

    def _container(self, space: Namespace) -> Resolved | None:
        """Return the container that a mount namespace is of; None where that is none, or not known."""
        if space.root is None:
            return None
        # By a process of its own: what is learned of a container from its first record is kept.
        some = ExecInProgress(
            None, space.pid, 0, space, space.root, b"/", exe=(0, 0), link=b"/", size=0, ctime_ns=0, until=0
        )
        return self._examiner.resolve(exec_record(some, None, unknown_fork, bare=True))

    def _logged(self, opened: ExecInProgress) -> ProcessFacts | None:
        noted = self._process_log.facts(opened.pid, opened.exe) if self._process_log is not None else None
        return noted if opened.is_settled(noted) else None

    def _examined(self, opened: ExecInProgress, facts: ProcessFacts | None) -> Iterator[Event]:
        fork = self._process_log.fork if self._process_log is not None else unknown_fork
        files = [each.file for each in opened.opened]
        event = self._examiner.examine(exec_record(opened, facts, fork), opened.file, files)
        if event is None:
            return
        if not opened.is_known(facts):
            self._examiner.miss("process" if facts is None else "argv")
        yield event


def unknown_fork(_pid: int, _before_ns: int) -> Fork | None:
    """Return None: nothing is known of processes that are gone."""
    return None
