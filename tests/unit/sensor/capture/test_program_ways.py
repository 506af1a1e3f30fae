"""The ways to run the kernel program, on kernels that refuse some of them."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from sensor.capture.errors import CaptureUnavailable
from sensor.capture.libbpf import KernelObjects
from sensor.capture.program_ways import RECORD, RECORD_OPENS, start, ways
from sensor.capture.programs import LOOK, TRACEPOINTS, ProgramOptions
from sensor.policy.properties import SESSION_CAPABILITY as SESSION
from sensor.policy.properties import WRITER_CAPABILITY as WRITER
from sensor.policy.properties import WRITER_LINEAGE_CAPABILITY as LINEAGE
from sensor.policy.properties import WRITER_ORIGIN_CAPABILITY as ORIGIN

OPTIONS = ProgramOptions(65_536, libraries=False)
REFUSED = "eBPF capture: bpf_object__load failed: Permission denied"


class Kernel:
    """What a kernel's probes say."""

    def __init__(self, *, functions: bool = True, tracepoints: bool = True) -> None:
        self._functions, self._tracepoints = functions, tracepoints

    def record_functions(self) -> tuple[str, ...]:
        return (LOOK, "on_open") if self._functions else ()

    def record_tracepoints(self) -> tuple[str, ...]:
        return (LOOK, *TRACEPOINTS) if self._tracepoints else ()

    def read_programs(self, *, by_functions: bool) -> tuple[str, ...]:
        return ("on_read_open",) if by_functions else ("on_read_pages",)


class Loader:
    """Refuses whatever has one of these programs, with this error; notes what it loads."""

    def __init__(self, *refused: str, error: Exception | None = None) -> None:
        self._refused, self._error = set(refused), error or CaptureUnavailable(REFUSED)
        self.tried: list[list[str]] = []

    def __call__(self, options: ProgramOptions) -> KernelObjects:
        programs = [*options.programs().values(), *options.waiting]
        self.tried.append(programs)
        if self._refused & set(programs):
            raise self._error
        return KernelObjects({}, {})


@pytest.mark.parametrize(
    ("refused", "name", "capabilities"),
    [
        pytest.param(
            (), "by functions", (RECORD, RECORD_OPENS, SESSION, WRITER, ORIGIN, LINEAGE), id="none is refused"
        ),
        pytest.param(("on_open",), "by tracepoints", (RECORD, SESSION, WRITER), id="functions"),
        pytest.param(("on_read_open",), "by tracepoints", (RECORD, SESSION, WRITER), id="one function of what is read"),
        pytest.param(("on_open", "on_fault"), "without a record of writers", (SESSION,), id="tracepoints too"),
        pytest.param((LOOK,), "without a record of writers", (SESSION,), id="what both have"),
        pytest.param(("on_fork",), "for execs alone", (), id="the start of a process"),
        pytest.param(("on_open", "on_read_pages"), "for execs alone", (), id="what is read"),
        pytest.param(("on_write",), "for execs alone", (), id="who wrote a file"),
        pytest.param(("on_mapping",), "for execs alone", (), id="the loader of a program"),
    ],
)
@pytest.mark.parametrize("error", [None, OSError(24, "Too many open files")], ids=["refused", "failed"])
def test_execs_are_captured_in_the_best_way_that_the_kernel_accepts(
    refused: tuple[str, ...], name: str, capabilities: tuple[str, ...], error: Exception | None
) -> None:
    started = start(ways(Kernel(), OPTIONS), Loader(*refused, error=error))
    assert (started.way.name, started.way.capabilities) == (name, capabilities)
    assert "on_exec" in started.way.options.programs().values()
    assert bool(started.limits) == bool(refused)


def test_one_line_of_the_log_says_which_way_and_why(caplog: pytest.LogCaptureFixture) -> None:
    started = start(ways(Kernel(), OPTIONS), Loader("on_open", "on_fault"))
    (line,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    said = line.getMessage()
    assert said.startswith("The kernel program runs without a record of writers: ")
    assert "not by functions: " in said
    assert "not by tracepoints: " in said
    assert REFUSED in started.limits
    assert "no verdict is remembered" in started.limits


def test_nothing_is_logged_where_the_best_way_works(caplog: pytest.LogCaptureFixture) -> None:
    start(ways(Kernel(), OPTIONS), Loader())
    assert caplog.records == []


@pytest.mark.parametrize(
    ("kernel", "names"),
    [
        (Kernel(functions=False), ["by tracepoints", "without a record of writers", "for execs alone"]),
        (Kernel(tracepoints=False), ["by functions", "without a record of writers", "for execs alone"]),
        (Kernel(functions=False, tracepoints=False), ["without a record of writers", "for execs alone"]),
    ],
)
def test_what_the_probes_do_not_find_is_not_tried(kernel: Kernel, names: list[str]) -> None:
    assert [way.name for way in ways(kernel, OPTIONS)] == names


def test_where_nothing_can_be_loaded_the_reason_is_that_of_the_least_way() -> None:
    loader = Loader("on_exec")
    with pytest.raises(CaptureUnavailable, match=f"^{REFUSED}$"):
        start(ways(Kernel(), OPTIONS), loader)
    assert loader.tried[-1] == ["on_exec"]
    assert len(loader.tried) == 4


def test_where_no_writer_of_a_file_is_seen_none_is_promised() -> None:
    (way, *_) = ways(Kernel(functions=False), dataclasses.replace(OPTIONS, writers=False))
    assert way.capabilities == (RECORD, SESSION)
