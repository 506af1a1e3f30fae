"""The portal's image as deploy/portal/Containerfile makes it: what can be tried without building it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

CONTAINERFILE = Path(__file__).parents[2] / "deploy/portal/Containerfile"


@pytest.mark.parametrize(("library", "is_there"), [("libc.so.6", True), ("libc.so", False), ("libnone.so.1", False)])
def test_a_library_that_the_base_has_is_not_taken_from_postgresql_s_image(library: str, is_there: bool) -> None:
    condition = re.search(r"(ldconfig -p \| grep .*) \|\| cp ", CONTAINERFILE.read_text())
    assert condition is not None
    listed = "1 libs found in cache\n\tlibc.so.6 (libc6,x86-64) => /lib/x86_64-linux-gnu/libc.so.6\n"
    command = f"ldconfig() {{ printf '%s' \"$LISTED\"; }}; library=/client/lib/{library}; {condition[1]}"
    ran = subprocess.run(["sh", "-c", command], env={**os.environ, "LISTED": listed}, check=False)
    assert (ran.returncode == 0) is is_there
