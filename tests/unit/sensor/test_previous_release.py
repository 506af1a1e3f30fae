"""Sensor and portal of this release and of the one before read each other (docs/upgrade.md#versions-side-by-side)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sensor import wire
from tests import golden_wire, previous_release

NEW_SHAPES = {"ExecReport", "ExecReportsRequest", "ExecReportsResponse"}
"""Calls that a portal of before answers with 404."""
REFUSED_BEFORE = {"Event: kind image_volume"}
"""What a portal of before refuses: so the portal is upgraded first."""
EXAMPLES_OF_BEFORE = """
import json, sys
from tests import golden_wire
print(json.dumps([
    [golden_wire.shape(path), example["name"], example["value"]]
    for path in golden_wire.FILES for example in golden_wire.examples(path, "valid")
]))
"""
DECODE_BEFORE = """
import json, sys, msgspec
from sensor import __version__, wire
refused = []
for shape, name, value in json.load(sys.stdin):
    decode = wire.decode_event if shape == "Event" else lambda raw: msgspec.json.decode(raw, type=getattr(wire, shape))
    try:
        decode(json.dumps(value).encode())
    except (msgspec.MsgspecError, wire.WireError):
        refused.append(f"{shape}: {name}")
print(json.dumps([__version__, refused]))
"""


@pytest.fixture
def before(tmp_path: Path) -> Any:
    """Run a program with the packages of the release before; return its JSON."""
    environment = previous_release.unpack(tmp_path)

    def run(program: str, given: str = "") -> Any:
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, input=given, stdout=subprocess.PIPE, text=True, check=True
        )
        return json.loads(done.stdout)

    return run


def test_what_the_release_before_sends_is_read(before: Any) -> None:
    examples = before(EXAMPLES_OF_BEFORE)
    assert len(examples) > 40
    for shape, name, value in examples:
        raw = json.dumps(value).encode()
        decoded = wire.decode_event(raw) if shape == "Event" else msgspec.json.decode(raw, type=getattr(wire, shape))
        assert decoded is not None, name


def test_what_this_release_sends_is_read_by_the_release_before(before: Any) -> None:
    ours = [
        (golden_wire.shape(path), example["name"], example["value"])
        for path in golden_wire.FILES
        if golden_wire.shape(path) not in NEW_SHAPES
        for example in golden_wire.examples(path, "valid")
    ]
    assert before(DECODE_BEFORE, json.dumps(ours)) == [previous_release.RELEASE, sorted(REFUSED_BEFORE)]
