"""Every line of the lists "must be caught" and "must stay quiet", on both runtimes and by both backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system import needs
from tests.system.capture.bed import BACKENDS, Watch
from tests.system.capture.lines import LINES, Line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.container


@pytest.mark.parametrize("runtime", ["podman", needs.NODE.name])
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_line_is_seen_as_it_must_be(
    backend: str,
    line: Line,
    runtime: str,
    watch_of: Callable[[str, bool], Watch],
    altered: Path,
    request: pytest.FixtureRequest,
) -> None:
    watch = watch_of(runtime, line.privileged)
    if line.drop:
        watch.box.put(altered, line.drop)
    seen = tuple((event.kind, event.process.path) for event in watch.drift(line.script, backend))
    request.node.user_properties.append(("detection", [line.name, runtime, backend, [kind for kind, _ in seen]]))
    assert seen == line.expected(backend)
