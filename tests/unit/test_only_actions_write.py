"""Only actions write (docs/architecture.md#rooms-and-floors): no other room calls the ORM, SQL or cache to change data.

Import contracts cannot see a write, so this reads the source. It knows writes by their names: a method of a model or
query set, a statement in a string, a cache, the audit log, mail.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {"actions", "migrations"}
ORM = {
    name
    for method in ("save", "create", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "delete")
    for name in (method, f"a{method}")
} | {"update", "aupdate", "set", "save_base", "create_user", "select_for_update", "executemany", "copy"}
RELATED = {"add", "remove", "clear"}
MODULES_THAT_WRITE = ("accounts.audit", "django.core.cache", "django.core.mail")
SQL = re.compile(
    r"(?:^|[;(])\s*(?:INSERT\s+INTO|UPDATE\s+\w+|DELETE\s+FROM|TRUNCATE|MERGE\s+INTO|DROP|ALTER|CREATE|COPY)\b"
    # Only their own transaction sees the temporary tables of a backtest (docs/backtest.md#how-it-works).
    r"(?!\s+(?:TEMPORARY\s|(?:TABLE\s+)?backtest_))"
    r"|\b(?:nextval|setval|pg_notify)\s*\(|\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b"
)
ALLOWED = {
    # The names of its temporary tables are in a variable.
    "drift/backtest/queries/stored_events.py": {"DROP", "COPY", "cursor.copy()"},
}
MODULES = sorted(
    path
    for path in (ROOT / "drift").rglob("*.py")
    if not ELSEWHERE & set(path.parts) and path != ROOT / "drift/queue.py"
)


def writes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and what writes there."""
    actions = set(_names_of_actions(tree))
    docstrings = set(_docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if ast.unparse(node.value) not in actions and _is_write(node):
                yield node.lineno, f"{ast.unparse(node)}()"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            if found := SQL.search(node.value):
                yield node.lineno, found[0].strip()
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{each.name}" for each in node.names]
            yield from ((node.lineno, name) for name in names if name.startswith(MODULES_THAT_WRITE))


def _is_write(node: ast.Attribute) -> bool:
    """Whether it is a method that writes, called or passed on."""
    if node.attr in ORM:
        return not isinstance(node.value, ast.Dict | ast.DictComp)
    # `alert.tags.add`, but not a set's `taken.add` nor a cache of its own, as `self._cache.clear`.
    receiver = ast.unparse(node.value)
    return node.attr in RELATED and "." in receiver and not receiver.startswith("self.")


def _names_of_actions(tree: ast.Module) -> Iterator[str]:
    """Yield names of modules of actions and views: `suppression_rules.save` is an action, not a model's method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith((".actions", ".views")):
            yield from (each.asname or each.name for each in node.names)


def _docstrings(tree: ast.Module) -> Iterator[int]:
    """Yield the ids of strings that are statements: docstrings of modules, classes, functions and constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_other_than_actions_does_not_write(path: Path) -> None:
    allowed = ALLOWED.get(str(path.relative_to(ROOT)), set())
    found = list(writes(ast.parse(path.read_text())))
    assert [f"{path.name}:{line}: {what}" for line, what in found if what not in allowed] == []
    assert allowed <= {what for _, what in found}, "an exception that nothing needs"


@pytest.mark.parametrize(
    "statement",
    [
        "Alert.objects.create(path='/')",
        "Alert.objects.filter(pk=1).update(status='open')",
        "alert.delete()",
        "alert.save(update_fields=['status'])",
        "form.save()",
        "Alert.objects.bulk_create([])",
        "await alert.asave()",
        "Alert.objects.select_for_update()",
        "cursor.execute('UPDATE alerts_alert SET status = 1')",
        "cursor.execute(f'INSERT INTO alerts_alert SELECT {x}')",
        "QUERY = 'WITH gone AS (DELETE FROM alerts_alert RETURNING 1) SELECT * FROM gone'",
        "cursor.execute('TRUNCATE alerts_alert')",
        "cursor.copy('COPY alerts_alert FROM STDIN')",
        "from django.core.cache import cache",
        "rule.environments.set([])",
        "rule.environments.add(1)",
        "write = alert.save",
        "from accounts.audit import record",
        "from accounts import audit",
        "from django.core.mail import send_mail",
    ],
)
def test_a_write_is_found(statement: str) -> None:
    assert len(list(writes(ast.parse(statement)))) >= 1


@pytest.mark.parametrize(
    "statement",
    [
        "from drift.alerts.actions import triage\ntriage.update(1)",
        "cursor.execute('SELECT updated_at FROM alerts_alert')",
        "'''UPDATE alerts_alert'''",
        "context = {}\ntaken.add(1)",
        "label = 'UPDATES and deletions'",
        "label = 'Update the rule'",
        "cursor.execute('CREATE TEMPORARY TABLE backtest_key (key bigint)')",
        "cursor.execute('INSERT INTO backtest_key SELECT 1')",
    ],
)
def test_what_is_not_a_write_is_not_found(statement: str) -> None:
    assert list(writes(ast.parse(statement))) == []
