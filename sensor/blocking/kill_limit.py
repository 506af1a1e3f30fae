"""The kill limit: many different files of one workload, and a rule's pause when many workloads get that far at once.

A mistake in a policy must not crash a whole estate, and an attacker must not get through by trying often
(docs/blocking.md#kill-limit). Both are counted here, from the reported kills: the kernel does not know what a file
contains.
"""

from __future__ import annotations

import collections
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from sensor import wire
from sensor.container.recent import Recent
from sensor.policy.decisions import default_rule
from sensor.policy.document_terms import DEFAULT_RULE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILES_PER_MINUTE: Final = 30
"""Different files of one workload that a rule stops until the workload is past the limit."""
WORKLOADS: Final = 5
"""Workloads that are past it under one rule at once, by which the rule's blocking pauses."""
MINUTE: Final = 60.0
PAUSE_SECONDS: Final = 600.0
MAX_CONTENTS: Final = 65_536
MAX_WORKLOADS: Final = 4_096


class _Counted(NamedTuple):
    rule: bytes
    workload: int


class KillLimit:
    """Counts kills. Any thread may call it."""

    def __init__(
        self,
        files_per_minute: int = FILES_PER_MINUTE,
        workloads: int = WORKLOADS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._workloads, self._clock = files_per_minute, workloads, clock
        self._killed: Recent[tuple[_Counted, str], bool] = Recent(MAX_CONTENTS)
        self._times: Recent[_Counted, collections.deque[float]] = Recent(MAX_WORKLOADS)
        self._past: dict[_Counted, float] = {}
        self._pauses: dict[bytes, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def note_kill(self, rule: Mapping[str, Any], workload: int, content: str) -> None:
        """Count a stopped exec; content that this rule stopped in this workload before does not count again."""
        counted, now = _Counted(_fingerprint(rule), workload), self._clock()
        with self._lock:
            if self._killed.get((counted, content)):
                return
            self._killed.put((counted, content), value=True)
            times = self._times.get(counted) or collections.deque(maxlen=self._files)
            times.append(now)
            self._times.put(counted, times)
            if len(times) == self._files and now - times[0] < MINUTE:
                self._past[counted] = now
                self._pause_if_many(counted.rule, now)

    def _pause_if_many(self, rule: bytes, now: float) -> None:
        self._past = {counted: at for counted, at in self._past.items() if now - at < MINUTE}
        number = sum(counted.rule == rule for counted in self._past)
        if number >= self._workloads:
            self._pauses[rule] = now + PAUSE_SECONDS, number

    def workloads_past_limit(self) -> frozenset[int]:
        """Return the workloads in which so many different files were stopped within the last minute."""
        now = self._clock()
        with self._lock:
            return frozenset(counted.workload for counted, at in self._past.items() if now - at < MINUTE)

    def is_paused(self, rule: Mapping[str, Any]) -> bool:
        """Return whether this rule blocks nothing for now."""
        pause = self._pauses.get(_fingerprint(rule)) if self._pauses else None
        return pause is not None and pause[0] > self._clock()

    def paused_rules(self, document: Mapping[str, Any]) -> list[wire.PausedRule]:
        """Return the rules of a policy that block nothing for now; a rule that was changed since then is not paused."""
        now = self._clock()
        with self._lock:
            self._pauses = {rule: pause for rule, pause in self._pauses.items() if pause[0] > now}
            pauses = dict(self._pauses)
        if not pauses:
            return []
        rules = [*document["rules"], default_rule(document)]
        found = [(rule["id"], pauses.get(_fingerprint(rule))) for rule in rules]
        return [wire.PausedRule(rule, pause[1]) for rule, pause in found if pause is not None]


def without_blocking(document: Mapping[str, Any], rules: frozenset[str]) -> dict[str, Any]:
    """Return a policy in which these rules alert where they would block."""
    changed = [rule | {"action": "alert"} if rule["id"] in rules else rule for rule in document["rules"]]
    default = {"action": "alert"} if DEFAULT_RULE in rules else document["default"]
    return {**document, "rules": changed, "default": default}


def killed_content(event: wire.Event) -> str:
    """Return what tells one stopped file from another: its hash, or path and size where it could not be read.

    Content that was gone before it could be read is like no other: else whoever writes one file over and over, and
    runs it each time, would never reach the limit.
    """
    process = event.process
    if process.sha256 is None and process.hash_status == "gone":
        return str(event.event_id)
    return process.sha256 or f"{process.size} {process.path}"


def _fingerprint(rule: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(rule, order="sorted")
