"""Write docs/commands.md from the parsers of the programs; with --check, exit with status 1 if it is out of date.

The sensor's own tables stand in docs/sensor.md#commands, where a test compares them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs/commands.md"
HEAD: Final = """# Commands

Generated from the programs by `python scripts/command_tables.py`. Each prints the same with `--help`, and
`driftwatch-portal --version`, `driftwatch-sensor --version` the release and the commit.

| program | where |
|---|---|
| `driftwatch-portal` | in the portal's image and wheel; in a checkout `python -m portal.program` |
| `driftwatch-portal manage` | its commands for people; in a checkout `manage.py` |
| `driftwatch-sensor`: [tables](sensor.md#commands) | in its image and wheel; in a checkout `python -m sensor` |
| `python -m sensor.policy` | wherever the code is |

What each process needs, and in which order they are started: [operators.md](operators.md#driftwatch-portal).
"""
OF_DJANGO: Final = frozenset(
    {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks"}
)
"""Options that each command of manage.py has."""


def page() -> str:
    """Return the page's text."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    from portal.program.options import parser as portal_parser
    from sensor.policy.cli import policy_parser

    parts = [HEAD, "\n## driftwatch-portal\n", *_commands("driftwatch-portal", portal_parser())]
    parts += ["\n## driftwatch-portal manage\n"]
    for name, parser in management_parsers():
        parts += _command(f"driftwatch-portal manage {name}", parser)
    parts += ["\n## python -m sensor.policy\n", *_commands("python -m sensor.policy", policy_parser())]
    return "".join(parts)


def management_parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield our own commands of manage.py, but for those that generate these pages or are commands of the program."""
    from django.core.management import get_commands, load_command_class

    from portal.management.generated import GeneratedPage

    for name, app in sorted(get_commands().items()):
        if not isinstance(app, str) or app.partition(".")[0] not in {"portal", "accounts", "drift"}:
            continue
        command = load_command_class(app, name)
        if not isinstance(command, GeneratedPage) and name not in {"migrate", "doctor"}:
            yield name, command.create_parser("driftwatch-portal manage", name)


def _commands(program: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    for name, help_, command in subcommands(parser):
        if name != "manage":
            yield from _command(f"{program} {name}", command, help_)


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield name, help and parser of each subcommand."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield name, texts.get(name, ""), command


def _command(title: str, parser: argparse.ArgumentParser, help_: str = "") -> Iterator[str]:
    text = " ".join((help_ or parser.description or "").split())
    verbs = list(subcommands(parser))
    yield f"\n### `{title}`\n\n{text[:1].upper()}{text[1:].rstrip('.')}.\n"
    rows = [row for action in parser._actions if (row := _row(action))]
    for name, verb_help, verb in verbs:
        wanted = [row for action in verb._actions if (row := _row(action))]
        rows += [f"| **`{name}`** | {verb_help} |\n", *wanted]
    if rows:
        yield "\n| option | meaning |\n|---|---|\n"
        yield from rows


def _row(action: argparse.Action) -> str:
    """Return an option's row; "" for those that each command has."""
    if action.dest in OF_DJANGO or action.dest.startswith("_") or isinstance(action, argparse._SubParsersAction):
        return ""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    name = action.option_strings[-1] if action.option_strings else ""
    shown = " ".join(part for part in (name, "" if action.nargs == 0 else str(value)) if part)
    required = "required; " if action.required and action.option_strings else ""
    escaped, meaning = shown.replace("|", "\\|"), " ".join((action.help or "").split())
    return f"| `{escaped}` | {required}{meaning} |\n"


def main() -> int:
    """Write the page, or compare it."""
    text = page()
    if sys.argv[1:] == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        sys.stderr.write("docs/commands.md is out of date: run python scripts/command_tables.py\n")
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
