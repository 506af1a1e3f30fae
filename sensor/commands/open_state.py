"""Opening the state directory for a command; what fails ends the command with one line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sensor.commands.exit_status import CommandError, ExitStatus
from sensor.operations.state_directory import SensorIdentity, StateDirectory, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[StateDirectory]:
    """Hold the state directory, which two processes must never use at once. Raises CommandError."""
    with contextlib.ExitStack() as held:
        try:
            state = StateDirectory(directory)
            held.enter_context(state.lock())
        except StateError as error:
            raise CommandError(ExitStatus.STATE, str(error)) from None
        yield state


def identity(state: StateDirectory) -> SensorIdentity | None:
    """Return this node's identity; None before enrolment. Raises CommandError where it cannot be read."""
    try:
        return state.identity()
    except StateError as error:
        raise CommandError(ExitStatus.STATE, str(error)) from None
