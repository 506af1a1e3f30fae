"""Every line of the lists "must be caught" and "must stay quiet", on both runtimes and by both backends.

`DETECTION_TIMES=5` runs each five times.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from tests.system import needs
from tests.system.capture.bed import BACKENDS, Watch, note
from tests.system.capture.lines import LINES, OF_PODMAN, QUIET_OF_PODMAN, Line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.container


TIMES = int(os.environ.get("DETECTION_TIMES", "1"))
RUNS = [
    *itertools.product((*LINES, *OF_PODMAN, *QUIET_OF_PODMAN), ["podman"]),
    *itertools.product(LINES, [needs.NODE.name]),
]


@pytest.mark.parametrize(("line", "runtime"), RUNS, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_line_is_seen_as_it_must_be(
    backend: str,
    line: Line,
    runtime: str,
    watch_of: Callable[..., Watch],
    altered: Path,
    request: pytest.FixtureRequest,
) -> None:
    watch = watch_of(runtime, line.privileged, line.options)
    if line.drop:
        watch.box.put(altered, line.drop)
    runs = [watch.drift(f"{line.script}\n# {number}", backend) for number in range(TIMES)]
    seen = [tuple((event.kind, event.process.path) for event in events) for events in runs]
    note(
        request,
        line.name,
        runtime,
        backend,
        [kind for kind, _ in line.expected(backend)],
        [each == line.expected(backend) for each in seen],
    )
    assert seen == [line.expected(backend)] * TIMES
