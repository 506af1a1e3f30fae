"""docs/sensor.md and docs/wire.md match the program: options, statuses, names and structs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import sensor
from sensor import wire
from sensor.commands.exit_status import ExitStatus
from sensor.commands.options import parser
from sensor.names.masking import SECRET_NAMES, SECRET_WORDS, SHORT_OPTIONS
from sensor.policy import KINDS
from tests import golden_wire

FOLDER = Path(sensor.__file__).parents[1] / "docs"
DOCS = (FOLDER / "sensor.md").read_text()
WIRE_SPECIFICATION = (FOLDER / "wire.md").read_text()


def options() -> dict[str, list[argparse.Action]]:
    """Return the options of each command."""
    commands = next(each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    return {name: command._actions[1:] for name, command in commands.choices.items()}


def row(action: argparse.Action) -> str:
    """Return an option as the tables show it."""
    value = f" {action.metavar or _choices(action)}" if action.nargs != 0 else ""
    name = action.option_strings[0] if action.option_strings else ""
    return f"| `{f'{name}{value}'.strip()}` | {'required; ' if action.required else ''}{action.help} |"


def _choices(action: argparse.Action) -> str:
    return "\\|".join(action.choices) if action.choices else action.dest.upper()


def test_each_command_has_a_table_of_all_its_options() -> None:
    missing = [
        row(action)
        for name, actions in options().items()
        for action in actions
        if row(action) not in DOCS.split(f"### `{name}`")[1].split("###")[0]
    ]
    assert missing == []


def test_every_described_option_exists() -> None:
    rows = {row(action) for actions in options().values() for action in actions}
    assert [line for line in DOCS.splitlines() if line.startswith("| `--") and line not in rows] == []


def test_every_exit_status_is_explained() -> None:
    assert [status for status in ExitStatus if f"| {status.value} | " not in DOCS] == []


def test_every_masked_name_is_documented() -> None:
    masked = DOCS.split("## What is masked")[1]
    assert [name for name in (*SECRET_NAMES, *SECRET_WORDS, *SHORT_OPTIONS) if f"`{name}`" not in masked] == []


def test_the_example_event_has_every_field() -> None:
    example = WIRE_SPECIFICATION.split("```json\n")[1].split("```")[0]
    event = wire.decode_event(example.encode())
    assert json.loads(wire.encode_event(event)) == json.loads(example)


def test_every_kind_and_every_struct_on_the_wire_is_documented() -> None:
    shapes = {golden_wire.shape(path) for path in golden_wire.FILES} - {"Event"}
    assert [name for name in (*KINDS, *shapes) if f"`{name}`" not in WIRE_SPECIFICATION] == []
