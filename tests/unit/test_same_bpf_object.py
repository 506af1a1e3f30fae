"""Two builds of the kernel object are the same where all is that the kernel loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OBJECT = ROOT / "sensor/capture/bpf/exec.bpf.o"
BUILT = OBJECT.read_bytes()
ELF_HEADER_BYTES = 64


@pytest.mark.parametrize(
    ("place", "is_same"),
    [
        pytest.param(None, True, id="nothing"),
        pytest.param(BUILT.index(b"clang version"), True, id="debug strings"),
        pytest.param(ELF_HEADER_BYTES, False, id="the first instruction"),
        pytest.param(BUILT.rindex(b"first_namespaces\0"), False, id="the name of a map"),
        pytest.param(BUILT.index(b"bpf_map_lookup_elem(&writing_of_cpu"), False, id="a line for the verifier's log"),
    ],
)
def test_only_a_difference_in_what_is_loaded_counts(tmp_path: Path, place: int | None, is_same: bool) -> None:
    other = bytearray(BUILT)
    if place is not None:
        other[place] ^= 1
    built = tmp_path / "exec.bpf.o"
    built.write_bytes(other)
    command = [sys.executable, "scripts/same_bpf_object.py", str(built), str(OBJECT)]
    assert subprocess.run(command, cwd=ROOT, timeout=30, check=False).returncode == (0 if is_same else 1)
