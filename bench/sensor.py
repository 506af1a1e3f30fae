"""`make bench ONLY=sensor`: what the node sensor costs and loses, on a real podman container and kernel.

Needs root and the programs of NEEDED, which make installs on Debian; compares with bpftrace's execsnoop where that is
installed. Sizes: EXECS=20000 of the storms, FILES=2000 distinct ones, MIB=256 written at once.
PARTS=history,ceilings measures those parts alone: history, execs, drifted, hashes, writing, ceilings, blocking.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import sensor_blocking, sensor_ceilings
from tests.system.podman import BUSYBOX, Podman, unusable

NEEDED = ("podman", "runc", "busybox", "clang-14", "bpftool")
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
SNOOP = Path("/usr/sbin/execsnoop.bt")
KERNEL_GOAL_NS = 2_000
"""For all that our programs do in the kernel at an exec of an image's file."""
WRITE_GOAL = 1.1
"""For what remembers who wrote a file, beside what provenance adds to a write."""
DRIFTED = "/tmp/drifted"
SMALL = "/small"
"""A program of some KiB: 2,000 copies stay within what a container may have hashed."""
PATIENCE = 30.0
BLOCKS = 6
"""In turns, so that what else the machine does meets both alike."""


def main() -> None:
    """Measure and print; some five minutes on two idle cores."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if reason := f"needs {', '.join(missing)}" if missing else unusable():
        sys.exit(f"bench: sensor: {reason}. As root on Debian, `make bench ONLY=sensor` installs what is missing.")
    execs, files = int(os.environ.get("EXECS", "20000")), int(os.environ.get("FILES", "2000"))
    with tempfile.TemporaryDirectory() as directory, Podman(Path(directory)) as podman:
        box = Box(podman, _image(podman))
        box.run("same", execs // 20, "/bin/busybox")  # warm
        parts: dict[str, Callable[[], None]] = {
            "history": lambda: history(box, execs),
            "execs": lambda: image_execs(box, execs),
            "drifted": lambda: drifted_execs(box, execs),
            "hashes": lambda: hashes(box, files),
            "writing": lambda: writing(box, files * 5, int(os.environ.get("MIB", "256"))),
            "ceilings": lambda: ceilings(box, execs // 2),
            "blocking": lambda: blocking(podman, execs),
        }
        for name in os.environ.get("PARTS", ",".join(parts)).split(","):
            parts[name]()


class Box:
    """A container with the storms in it, and one binary that is not from its image."""

    def __init__(self, podman: Podman, image: str) -> None:
        self._podman, self.name = podman, podman.run(image)
        drifted = podman.directory / "drifted"
        drifted.write_bytes(BUSYBOX.read_bytes() + b"\0")
        drifted.chmod(0o755)
        podman.cp(drifted, self.name, DRIFTED)

    def run(self, what: str, count: int, *file: str) -> int:
        """One storm; its nanoseconds."""
        return int(self._podman.exec(self.name, "/storm", what, str(count), *file).stdout)

    def clear(self) -> None:
        """Remove the files that storms of distinct files left."""
        self._podman.shell(self.name, "rm -f /tmp/storm-*")

    def two(self, count: int, file: str) -> float:
        """Two storms of half the execs side by side; nanoseconds of wall time an exec of each."""
        halves = f"/storm same {count // 2} {file} & /storm same {count // 2} {file}; wait"
        begun = [int(line) for line in self._podman.shell(self.name, halves).stdout.split()]
        return max(begun) / (count // 2)


def _image(podman: Podman) -> str:
    return podman.image("storm", dict(_programs(podman)))


def _programs(podman: Podman) -> dict[str, Path]:
    built = {"/storm": podman.directory / "storm", SMALL: podman.directory / "small"}
    for path, options in (("/storm", ["-O1"]), (SMALL, ["-nostdlib", "-DSMALL"])):
        source = Path(__file__).with_name("sensor_storm.c")
        subprocess.run(["clang-14", "-static", *options, "-o", built[path], source], check=True)
    return built


@dataclasses.dataclass
class Reading:
    """A running sensor's capture; what it reports is in `report` once it ended."""

    process: subprocess.Popen[str]
    report: dict[str, Any] = dataclasses.field(default_factory=dict)


@contextlib.contextmanager
def sensor(*options: str) -> Iterator[Reading]:
    """The capture in a process of its own."""
    command = [sys.executable, "-m", "bench.sensor_reader", *options]
    reading = Reading(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    assert reading.process.stdout is not None
    assert reading.process.stdout.readline() == "ready\n"
    try:
        yield reading
    finally:
        reading.process.terminate()
        output, _ = reading.process.communicate(timeout=PATIENCE)
        reading.report |= json.loads(output)


@contextlib.contextmanager
def execsnoop() -> Iterator[None]:
    """bpftrace's execsnoop, its output thrown away."""
    command = ["bpftrace", "-B", "none", str(SNOOP)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)
            drain.wait(PATIENCE)


@contextlib.contextmanager
def counted() -> Iterator[dict[str, tuple[int, int]]]:
    """By program: nanoseconds in the kernel and calls, while this lasts. It makes each call some 20 ns dearer."""
    before, found = STATS.read_text(), dict[str, tuple[int, int]]()
    STATS.write_text("1")
    try:
        yield found
    finally:
        STATS.write_text(before)


def programs() -> dict[str, tuple[int, int]]:
    """Of all loaded programs that ran: kernel nanoseconds and calls so far, by name."""
    listed = json.loads(subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True).stdout)
    sums: dict[str, tuple[int, int]] = {}
    for each in listed:
        time_ns, calls = sums.get(each.get("name", ""), (0, 0))
        sums[each.get("name", "")] = time_ns + each.get("run_time_ns", 0), calls + each.get("run_cnt", 0)
    return {name: total for name, total in sums.items() if total[1]}


def image_execs(box: Box, execs: int) -> None:
    """(a) Execs of the image's own files: wall time with and without, kernel time against execsnoop's."""
    print(
        f"(a) {execs:,} execs of an image's file, two storms side by side; {BLOCKS} times without, with, with, without"
    )
    cpu = _in_turns("wall time an exec", lambda: box.two(execs // 4, "/bin/busybox"))
    print(f"    the sensor's CPU for half of them {cpu:8.2f} s, its start included")
    _kernel_time(box, execs)


def _kernel_time(box: Box, execs: int) -> None:
    beside = execsnoop() if SNOOP.exists() and shutil.which("bpftrace") else contextlib.nullcontext()
    with counted(), sensor(), beside:
        before = programs()
        box.two(execs, "/bin/busybox")
        spent = _since(before)
    ours = {name: spent.pop(name) for name in list(spent) if name.startswith("on_")}
    calls = ours["on_exec"][1]
    for name, (time_ns, times) in ours.items():
        print(f"    in the kernel, {name:20} {time_ns / calls:8.0f} ns an exec ({times:,} calls)")
    own = sum(time_ns for time_ns, _ in ours.values()) / calls
    verdict = "within" if own <= KERNEL_GOAL_NS else "MISSES"
    print(f"    in the kernel, all of ours          {own:8.0f} ns an exec, {verdict} the goal of {KERNEL_GOAL_NS:,}")
    rivals = [total for total in spent.values() if total[1] >= execs * 0.9]
    if not rivals:
        print("    in the kernel, bpftrace's execsnoop: not installed, not measured")
        return
    snoop = sum(time_ns for time_ns, _ in rivals) / max(calls for _, calls in rivals)
    print(f"    in the kernel, bpftrace's execsnoop {snoop:8.0f} ns an exec; ours of that {own / snoop:.3f}")


def history(box: Box, execs: int) -> None:
    """(i) What it costs to keep the last execs of a container: in the kernel, off and on in turns."""
    print(f"(i) {execs:,} execs of an image's file, two storms side by side; {BLOCKS} times off, on")
    turns: dict[str, list[float]] = {"off": [], "on": [], "on_keep": []}
    for _ in range(BLOCKS):
        for name, options in (("off", ["--without-history"]), ("on", [])):
            with counted(), sensor(*options):
                # Its first exec makes the container known.
                box.run("same", 1, "/bin/busybox")
                before = programs()
                box.two(execs // BLOCKS, "/bin/busybox")
                spent = _since(before)
            ours = {program: times for program, times in spent.items() if program.startswith("on_")}
            calls = ours["on_exec"][1]
            turns[name].append(sum(time_ns for time_ns, _ in ours.values()) / calls)
            if name == "on":
                turns["on_keep"].append(sum(ours[each][0] for each in ours if each.startswith("on_keep")) / calls)
    for name, what in (("off", "all of ours, off"), ("on", "all of ours, on"), ("on_keep", "of that, what keeps them")):
        each = turns[name]
        print(f"    in the kernel, {what:26} {statistics.median(each):8.0f} ns ({min(each):.0f} to {max(each):.0f})")
    verdict = "within" if statistics.median(turns["on"]) <= KERNEL_GOAL_NS else "MISSES"
    print(f"    {verdict} the goal of {KERNEL_GOAL_NS:,} ns for all")


def drifted_execs(box: Box, execs: int) -> None:
    """(b) Execs of one drifted binary: counted exactly."""
    with sensor() as reading:
        wall = box.two(execs, DRIFTED)
    seen, lost = reading.report["seen"], reading.report["lost"]
    exact = "exact" if seen.get("events") == execs and not lost else "WRONG"
    print(f"(b) {execs:,} execs of one drifted file: {seen.get('events', 0):,} events, lost {lost}: {exact}")
    print(
        f"    wall time an exec {wall / 1e3:.1f} us, sensor's CPU {reading.report['cpu'] / execs * 1e6:.0f} us an exec"
    )
    _memory(reading)


def hashes(box: Box, files: int) -> None:
    """(c) and (d): every distinct file hashed; every one reported that is unlinked as soon as it runs."""
    with sensor() as reading:
        box.run("distinct", files, SMALL)
    seen, lost = reading.report["seen"], reading.report["lost"]
    print(f"(c) {files:,} distinct drifted files: {reading.report['files']:,} distinguished, lost {lost}")
    print(f"    {seen.get('ok', 0):,} hashed, writer known of {seen.get('written_by', 0):,}")
    _memory(reading)
    with sensor() as reading:
        box.run("unlink", files, SMALL)
    seen, lost = reading.report["seen"], reading.report["lost"]
    print(f"(d) {files:,} files unlinked as soon as they run: {seen.get('events', 0):,} reported, lost {lost}")
    print(f"    {seen.get('ok', 0):,} hashed, {seen.get('gone', 0):,} reported as gone")
    _memory(reading)


def writing(box: Box, files: int, mebibytes: int) -> None:
    """(f) What it costs to remember who wrote a file."""
    storms: dict[str, Callable[[], int]] = {
        f"{mebibytes} MiB written page by page": lambda: box.run("write", mebibytes),
        f"{files:,} files of a page": lambda: box.run("create", files),
    }
    for what, storm in storms.items():
        storm()  # from now on they are there
        print(f"(f) {what}; {BLOCKS} times without, with, with, without")
        _in_turns("wall time", storm)
        _write_time(storm)


def _write_time(storm: Callable[[], int]) -> None:
    """What `on_write` takes alone, and beside all that provenance needs, in turns; and what all programs take then."""
    turns: dict[str, list[float]] = {"alone": [], "beside provenance": []}
    for _ in range(BLOCKS):
        for name, options in zip(turns, (["--without-provenance"], []), strict=True):
            with counted(), sensor(*options):
                before = programs()
                storm()
                ours = {program: spent for program, spent in _since(before).items() if program.startswith("on_")}
            spent, calls = ours["on_write"]
            turns[name].append(spent / calls)
    for name, each in turns.items():
        spread = f"({min(each):.0f} to {max(each):.0f})"
        print(f"    in the kernel, on_write {name:20} {statistics.median(each):5.0f} ns a call {spread}")
    ratio = statistics.median(turns["beside provenance"]) / statistics.median(turns["alone"])
    verdict = "within" if ratio <= WRITE_GOAL else "MISSES"
    print(f"    the one to the other    x {ratio:.3f}, {verdict} the goal of {WRITE_GOAL}; {calls:,} calls")
    print(f"    in the kernel, all of ours {sum(spent for spent, _ in ours.values()) / 1e6:.1f} ms in the last turn")


def ceilings(box: Box, execs: int) -> None:
    """(h) A whole sensor within the unit's ceilings, and a container that drifts as fast as it can."""
    storms = {"one file": ("same", DRIFTED), "distinct files": ("distinct", SMALL)}
    print(f"(h) {execs:,} drifted execs as fast as they go, sensor within {sensor_ceilings.CPU_SHARE} CPU and 256 MiB")
    with sensor_ceilings.bounded() as sensor:
        for action in ("ignore", "alert"):
            sensor.publish(action)
            for what, (storm, file) in storms.items():
                box.clear()
                done = sensor.storm(execs, functools.partial(box.run, storm, execs, file))
                exact = "exact" if done.counted + sum(done.lost.values()) == execs else "WRONG"
                rate = f"{execs / done.seconds:,.0f} a second, all seen {done.behind:.0f} s after the last"
                print(f"    {what}, {action}: {rate}; {done.drifted:,} seen, lost {done.lost}")
                print(f"      the portal got {done.events:,} events in {done.posts} calls: {exact}")
                print(f"      {done.cpu / execs * 1e6:.0f} us of CPU an exec")
            box.clear()
            late = sensor.storm(execs, functools.partial(box.run, "distinct", execs, SMALL), is_frozen=True)
            print(f"    distinct files, {action}, all before the sensor reads: {execs / late.behind:,.0f} a second")
            print(f"      {late.drifted:,} seen, lost {late.lost}, {late.cpu / execs * 1e6:.0f} us of CPU an exec")
            print(f"      between heartbeats {late.pace:,.0f} a second" if late.pace else "      too few for a pace")
        peak = sensor.ceiling.peak_bytes() / 2**20
        print(f"    most memory {peak:.0f} MiB; it {'runs' if sensor.process.poll() is None else 'DIED'}")


def blocking(podman: Podman, execs: int) -> None:
    """(g) What it costs a container that drift is blocked in it."""
    with sensor_blocking.Blocked(podman, _programs(podman)) as box:
        print(f"(g) blocking: {BLOCKS} times off, on, on, off, for one and the same container")
        for what, storm in box.storms(execs // 20).items():
            off, on = zip(*(box.turn(storm) for _ in range(BLOCKS)), strict=True)
            ratios = sorted(later / before for before, later in zip(off, on, strict=True))
            print(f"    {what}, an exec: off {_micro(list(off))}, on {_micro(list(on))}")
            print(
                f"    the one to the other    x {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
            )
        for what, storm in box.storms(execs // 20).items():
            print(f"    in the kernel, on_exec, {what}: {' '.join(_in_kernel(box, storm))}")
        _held(box, execs // 2)


def _in_kernel(box: sensor_blocking.Blocked, storm: Callable[[], float]) -> Iterator[str]:
    for is_on in (False, True):
        box.switch(on=is_on)
        with counted():
            before = programs()
            storm()
            spent, calls = _since(before)["on_exec"]
        yield f"{'on' if is_on else 'off'} {spent / max(calls, 1):.0f} ns,"


def _held(box: sensor_blocking.Blocked, execs: int) -> None:
    off, on = box.each(on=False), box.each(on=True)
    for when, before, later in zip(("first", "later"), off, on, strict=True):
        print(f"    the {when} exec of an image's file: off {before / 1e3:.0f} us, on {later / 1e3:.0f} us")
    hit = box.hit(execs)
    print(f"    {execs:,} execs of an image's file: {hit} hit{'' if hit == 0 else ': WRONG'}")


def _in_turns(what: str, storm: Callable[[], float]) -> float:
    """Print what a storm takes without and with the sensor; the median of the sensor's CPU seconds for two of them."""
    blocks: list[tuple[float, float]] = []
    cpu: list[float] = []
    for _ in range(BLOCKS):
        plain = [storm()]
        with sensor() as reading:
            watched = [storm(), storm()]
        plain.append(storm())
        cpu.append(reading.report["cpu"])
        blocks.append((statistics.mean(plain), statistics.mean(watched)))
    ratios = sorted(watched / plain for plain, watched in blocks)
    print(f"    {what} without the sensor {_micro([plain for plain, _ in blocks])}")
    print(f"    {what} with it            {_micro([watched for _, watched in blocks])}")
    print(f"    the one to the other    x {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
    return statistics.median(cpu)


def _since(before: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """What each program ran since then."""
    none = 0, 0
    return {
        name: (time_ns - before.get(name, none)[0], calls - before.get(name, none)[1])
        for name, (time_ns, calls) in programs().items()
    }


def _memory(reading: Reading) -> None:
    now, first = (reading.report[name] / 2**20 for name in ("rss", "idle"))
    print(f"(e) resident memory {now:.0f} MiB, at the start {first:.0f} MiB")


def _micro(times: list[float]) -> str:
    """Median and spread of nanoseconds."""
    return f"{statistics.median(times) / 1e3:8.1f} us ({min(times) / 1e3:.1f} to {max(times) / 1e3:.1f})"


if __name__ == "__main__":
    main()
