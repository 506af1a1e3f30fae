"""`manage.py policy`: the output and exit status of each subcommand, and who can import."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditEntry
from drift.policy.domain.document_files import write
from drift.policy.models import PolicyVersion
from sensor.policy import default_document
from sensor.policy.document_errors import UnreadableError
from sensor.policy.document_text import file_format
from sensor.policy.document_text import parse_document as parse
from tests.unit.drift.policy.samples import document, rule

database = [pytest.mark.services, pytest.mark.django_db]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=st.dictionaries(st.text(), JSON, max_size=4), kind=st.sampled_from(["json", "yaml"]))
def test_what_is_written_reads_back_the_same(value: Any, kind: str) -> None:
    assert parse(write(value, kind).encode(), kind) == value


@pytest.mark.parametrize("text", ["no", "2026-12-01", "1e5", "012", "0x1f", "1.5", "yes", "=", "12:30"])
def test_yaml_strings_that_older_parsers_convert_stay_strings(text: str) -> None:
    assert parse(f"a: {text}\n".encode(), "yaml") == {"a": text}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &x [1]\nb: *x\n", "anchors and aliases"),
        ("a: 1\na: 2\n", "duplicate key"),
        ("1: a\n", "a key that is not a string"),
        ("a: !!python/object:os.system x\n", "not allowed"),
        ("[" * 4_000, "nested too deeply"),
        ("a: [", "not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
    ],
)
def test_ambiguous_yaml_is_rejected(text: str, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        parse(text.encode(), "yaml")


def test_the_format_follows_from_the_name_or_else_the_content() -> None:
    assert [file_format(name) for name in ("a.json", "b.YML", "c.yaml", "-")] == ["json", "yaml", "yaml", None]
    assert parse(b'  {"a": 1}') == parse(b"a: 1\n") == {"a": 1}


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and what was printed, errors too."""
    out = io.StringIO()
    try:
        call_command("policy", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def policy_file(tmp_path: Path) -> Any:
    """Writes a value, or a text as it stands, to a file and gives its name."""

    def written(value: Any, name: str = "policy.json") -> str:
        text = value if isinstance(value, str) else write(value, "yaml" if name.endswith("yaml") else "json")
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return written


class TestWithTheDatabase:
    pytestmark = database

    @pytest.mark.parametrize("kind", ["json", "yaml"])
    def test_an_export_is_the_latest_document_and_imports_as_nothing_new(
        self, admin: Any, policy_file: Any, kind: str
    ) -> None:
        status, text = run("export", "--format", kind)
        assert (status, parse(text.encode(), kind)) == (0, default_document())
        file = policy_file(text, f"policy.{kind}")
        answer = run("import", file, "--base", "v1", "--user", admin.email)
        assert answer == (0, "Nothing to save: v1 is the same.\n")
        assert PolicyVersion.objects.count() == 1

    def test_an_import_saves_the_next_version_as_its_user_and_leaves_an_audit_entry(
        self, admin: Any, policy_file: Any, queued: list[Any]
    ) -> None:
        file = policy_file(document("A", "B"), "policy.yaml")
        status, text = run("import", file, "--base", "v1", "--comment", "From Git", "--user", admin.email.upper())
        version = PolicyVersion.objects.get(number=2)
        assert (status, text) == (0, f"Saved as v2, digest {version.digest}\n")
        assert (version.author, version.comment, version.document) == (admin, "From Git", document("A", "B"))
        assert AuditEntry.objects.get(object_type="policy version", object_id="2").actor == admin

    def test_an_export_can_be_of_an_older_version(self, admin: Any, policy_file: Any) -> None:
        run("import", policy_file(document("A")), "--base", "1", "--user", admin.email)
        assert json.loads(run("export", "--version", "1")[1]) == default_document()
        assert run("export", "--version", "v9") == (2, "Version 9 does not exist.")

    def test_every_error_is_printed_by_rule_and_field_and_nothing_is_saved(self, admin: Any, policy_file: Any) -> None:
        bad = {**default_document(), "rules": [rule("A", action="allow"), rule("B", allow_list=["x/y"])]}
        file = policy_file(bad)
        for command in (["check", file], ["import", file, "--base", "v1", "--user", admin.email]):
            status, text = run(*command)
            printed = text.splitlines()
            assert (status, len(printed)) == (1, 2)
            assert printed[0].startswith("A: action: ") and printed[1].startswith("B: allow_list[0]: ")
        assert run("diff", file)[0] == 2
        assert PolicyVersion.objects.count() == 1

    def test_a_base_that_is_not_the_latest_is_rejected_with_the_changes_since(
        self, admin: Any, policy_file: Any
    ) -> None:
        run("import", policy_file(document("A")), "--base", "v1", "--user", admin.email)
        status, text = run("import", policy_file(document("B")), "--base", "v1", "--user", admin.email)
        assert status == 3
        assert "added    A" in text
        assert run("import", policy_file(document("B")), "--base", "v7", "--user", admin.email)[0] == 3
        assert PolicyVersion.objects.count() == 2

    def test_only_admins_can_import(self, operator: Any, admin: Any, policy_file: Any) -> None:
        file = policy_file(document("A"))
        admin.is_active = False
        admin.save()
        for email in (operator.email, admin.email, "nobody@example.com"):
            assert run("import", file, "--base", "v1", "--user", email)[0] == 4
        assert PolicyVersion.objects.count() == 1

    def test_a_check_prints_the_number_of_rules(self, policy_file: Any) -> None:
        status, text = run("check", policy_file(document("A", "B")))
        assert status == 0
        assert text.startswith("Valid. 2 rules, digest ")

    def test_differences_are_printed_by_field_and_set_the_exit_status(self, policy_file: Any) -> None:
        changed = default_document()
        changed["rules"][0]["action"] = "block"
        status, text = run("diff", policy_file(changed))
        assert status == 1
        assert text.splitlines() == ["changed  Alert on Kube-System namespace", '         action: "alert" → "block"']
        assert json.loads(run("diff", policy_file(changed), "--json")[1])[0]["kind"] == "changed"
        assert run("diff", policy_file(default_document())) == (0, "No differences from v1.\n")

    def test_a_name_cannot_drive_the_terminal(self, policy_file: Any) -> None:
        status, text = run("diff", policy_file({**document(), "rules": [rule("A") | {"name": "A\x1b[2J\nB"}]}))
        assert (status, "\x1b" in text) == (1, False)
        assert "added    A\\u001b[2J\\u000aB" in text

    def test_an_unreadable_file_has_another_exit_status_than_an_invalid_one(self, policy_file: Any) -> None:
        assert run("check", "/nowhere/policy.json")[0] == 2
        assert run("check", policy_file('{"schema": 1, "schema": 1}'))[0] == 2
        assert run("check", policy_file("[", "policy.yaml"))[0] == 2
