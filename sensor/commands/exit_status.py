"""How a command ends: its exit status, and the one line on standard error that explains it."""

from __future__ import annotations

import enum


class ExitStatus(enum.IntEnum):
    """Exit statuses of `driftwatch-sensor` (docs/sensor.md#exit-status). Supervisors act on them: never renumber."""

    OK = 0
    """Done, or stopped by a signal."""
    FAILED = 1
    """An unexpected error; of `doctor` and `health`: a check failed."""
    USAGE = 2
    """The command line is wrong."""
    NO_CAPTURE = 3
    """Execs cannot be captured here: no root, neither eBPF nor fanotify, or no such recording."""
    NOT_ENROLLED = 4
    """This node has no identity, or the portal rejected the enrolment."""
    UNREACHABLE = 5
    """`enrol` could not reach the portal; `run` retries instead."""
    NOT_AUTHENTICATED = 6
    """The portal no longer accepts this credential."""
    REVOKED = 7
    """The portal has revoked this sensor permanently; enrol again."""
    STATE = 8
    """The state directory cannot be used, or another sensor is using it."""


class CommandError(Exception):
    """Ends the command with this message and exit status."""

    def __init__(self, status: ExitStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
