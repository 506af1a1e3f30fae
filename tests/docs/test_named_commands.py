"""Commands that a page names in passing exist too, with the options that it gives them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from portal.program.options import parser as portal_parser
from scripts.command_tables import subcommands
from sensor.commands.options import parser as sensor_parser
from sensor.policy.cli import policy_parser
from tests.docs.blocks import PAGES, ROOT, blocks

INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PROGRAMS = {
    "driftwatch-portal": portal_parser,
    "python -m portal.program": portal_parser,
    "driftwatch-sensor": sensor_parser,
    "python -m sensor": sensor_parser,
    "python -m sensor.policy": policy_parser,
    "python3 -m sensor.policy": policy_parser,
}
MANAGE = re.compile(r"(?:driftwatch-portal manage|manage\.py)\s+([a-z_]+)\b(.*)")
NAMES = "|".join(map(re.escape, sorted(PROGRAMS, key=len, reverse=True)))
SOME = re.compile(rf"(?:^|[(;|&]\s*|\s--\s+|[A-Z]=\S*\s+|bin/|exec web )({NAMES})\s+([a-z]+|--\w+)\b(.*)")
"""Where a command begins, so that an object of the same name is none."""
MAKE = re.compile(r"(?:^|\s)make ([a-z-]+)")
HISTORY = {"CHANGELOG.md"}
"""Tells what commands were called at the time."""


@cache
def options(parser: argparse.ArgumentParser) -> frozenset[str]:
    """Return the options of a parser and of all below it."""
    own = {name for action in parser._actions for name in action.option_strings}
    return frozenset(own.union(*(options(below) for _, _, below in subcommands(parser))))


@cache
def management_parser(name: str) -> argparse.ArgumentParser | None:
    from django.core.management import get_commands, load_command_class

    app = get_commands().get(name)
    return load_command_class(app, name).create_parser("manage.py", name) if isinstance(app, str) else None


def named_texts(page: Path) -> Iterator[str]:
    """Yield each inline code span, and each line of a block of commands or of their usage."""
    text = page.read_text()
    for block in blocks(page):
        text = text.replace(block.text, "\n")
        if block.language in {"sh", "usage"}:
            yield from block.text.replace("\\\n", " ").splitlines()
    for span in INLINE.findall(text):
        yield from (part.strip() for part in re.split(r"&&|;| \|\| ", span))


def problems(text: str) -> Iterator[str]:
    """Yield what a text names that no program has."""
    if found := MANAGE.search(text):
        name, rest = found.groups()
        parser = management_parser(name)
        if parser is None:
            yield f"no command `{name}` in: {text}"
        else:
            yield from _unknown(parser, rest, text)
    elif found := SOME.search(text):
        program, name, rest = found.groups()
        top = PROGRAMS[program]()
        below = {each: parser for each, _, parser in subcommands(top)}
        if name.startswith("--"):
            yield from _unknown(top, name, text)
        elif name not in below:
            yield f"no command `{name}` in: {text}"
        elif name != "manage":
            yield from _unknown(below[name], rest, text)
    for target in MAKE.findall(text) if re.match(r"(?:[A-Z_]+=\S+ )*make ", text) else ():
        if not re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE):
            yield f"no target `{target}` in: {text}"


def _unknown(parser: argparse.ArgumentParser, rest: str, text: str) -> Iterator[str]:
    known = options(parser)
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.partition(" | ")[0]):
        if option not in known:
            yield f"no option {option} in: {text}"


@pytest.mark.parametrize(
    "document", [page for page in PAGES if page.name not in HISTORY], ids=lambda document: document.name
)
def test_every_command_and_option_that_a_page_names_exists(document: Path) -> None:
    assert [found for text in named_texts(document) for found in problems(text)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("driftwatch-portal serve", "no command `serve`"),
        ("driftwatch-portal web --prot 80", "no option --prot"),
        ("driftwatch-portal manage policies export", "no command `policies`"),
        ("manage.py policy export --form yaml", "no option --form"),
        ("SECRET_KEY=x .venv/bin/python manage.py backups FILE", "no command `backups`"),
        ("driftwatch-sensor start", "no command `start`"),
        ("python -m sensor run --metrics-prot 1", "no option --metrics-prot"),
        ("python -m sensor.policy verify x", "no command `verify`"),
        ("PORT=9000 make demos", "no target `demos`"),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, said: str) -> None:
    (found,) = problems(text)
    assert said in found
