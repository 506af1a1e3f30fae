"""Find functions, classes, fields and constants that nothing uses, tests aside; exit status 1 if there are any.

Runs vulture with `[tool.vulture]` of pyproject.toml. Vulture reads Python alone, so the names that templates, settings
and frameworks use are collected here; names with any other hidden use are in scripts/unused_code_allowed.txt.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("accounts", "drift", "portal", "sensor")
TAG = re.compile(r"{[{%](.*?)[%}]}", re.DOTALL)
DOTTED = re.compile(r"[a-z_]+(?:\.\w+)+")
FRAMEWORK_BASES = re.compile(
    r"(Model|\w*Lookup|TextChoices|Serializer|Form|View|APIException|Conflict|Extension|TypedDict|Struct|Structure|AppConfig"
    r"|AbstractBaseUser|BaseUserManager|BaseAuthentication|BaseCommand|GeneratedPage|BaseHTTPRequestHandler)\b"
)
"""Classes whose fields are columns, JSON keys, C struct members or options of the framework."""
FRAMEWORK_METHODS = re.compile(r"(get|clean|validate|do|log)_\w+|add_arguments|authenticate\w*")
"""What frameworks call on such classes, besides what vulture knows of."""


def main() -> int:
    """Print what is unused."""
    used = {*_template_names(), *_settings_names(), *_framework_names(), *_allowed_names()}
    # A file of bare names is vulture's form of an allow list.
    with tempfile.NamedTemporaryFile("w", suffix=".py") as names:
        names.write("\n".join(sorted(used)))
        names.flush()
        command = [sys.executable, "-m", "vulture", *PACKAGES, names.name]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


def _allowed_names() -> Iterator[str]:
    for line in (ROOT / "scripts/unused_code_allowed.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split()[0]


def _template_names() -> Iterator[str]:
    """Yield every identifier inside the tags of a template."""
    for file in (ROOT / "templates").rglob("*.html"):
        for tag in TAG.findall(file.read_text()):
            yield from (word for word in re.findall(r"[A-Za-z_]\w*", tag) if not _is_keyword(word))


def _settings_names() -> Iterator[str]:
    """Yield the settings, and the classes and functions that settings and URLs refer to by dotted path."""
    for file in (*(ROOT / "portal").glob("*settings.py"), ROOT / "portal/urls.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
                yield node.value.rpartition(".")[2]
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _framework_names() -> Iterator[str]:
    """Yield what frameworks use by name: the members of subclasses of theirs, app configurations, commands."""
    for file in (each for package in PACKAGES for each in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and FRAMEWORK_BASES.search(" ".join(map(ast.unparse, node.bases))):
                yield from (node.name, *_members(node)) if node.name.endswith(("Config", "Command")) else _members(node)
            elif isinstance(node, ast.ClassDef) and node.name == "Meta":
                yield from _members(node)


def _members(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and FRAMEWORK_METHODS.fullmatch(statement.name):
            yield statement.name
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _is_keyword(word: str) -> bool:
    """Return whether a word of a template cannot stand alone in Python, such as `if` and `with`."""
    try:
        ast.parse(word)
    except SyntaxError:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
