"""`manage.py audit` verifies, seals and prints heads."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import audit
from accounts.queries.audit_verification import current_head
from tests.database import without_triggers

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def record(count: int = 1, **values: Any) -> None:
    for number in range(count):
        audit.record(
            None, "changed", "thing", number, name=f"Thing {number}", **{"after": {"number": number}, **values}
        )


def run(*args: str) -> str:
    out = StringIO()
    call_command("audit", *args, stdout=out)
    return out.getvalue()


class TestCommand:
    def test_verify_prints_the_head_and_what_is_not_sealed(self) -> None:
        record(2)
        assert run("seal").strip() == "2 entries sealed"
        record()
        lines = run("verify").splitlines()
        assert lines[0] == f"intact: 2 entries, head {current_head()}"
        assert lines[1].startswith("1 entries are not sealed yet, the oldest of 2")

    def test_verify_fails_and_names_the_place(self) -> None:
        record(2)
        run("seal")
        with without_triggers() as cursor:
            cursor.execute("UPDATE accounts_auditentry SET verb = 'x'")
        with pytest.raises(CommandError, match=r"NOT INTACT: 2 problems\nposition 1 \(entry"):
            run("verify")

    def test_many_problems_are_counted_and_the_first_are_listed(self) -> None:
        record(30)
        run("seal")
        with without_triggers() as cursor:
            cursor.execute("UPDATE accounts_auditentry SET verb = 'x'")
        with pytest.raises(CommandError) as caught:
            run("verify")
        assert str(caught.value).startswith("NOT INTACT: 30 problems")
        assert len(str(caught.value).splitlines()) == 21

    def test_the_head_is_kept_in_a_file_which_verify_reads(self, settings: Any, tmp_path: Path) -> None:
        settings.AUDIT_HEAD_FILE = str(tmp_path / "heads")
        assert run("verify").startswith("intact")
        for _ in range(2):
            record(2)
            run("head")
        lines = (tmp_path / "heads").read_text().splitlines()
        assert [line.split()[1].split(":")[0] for line in lines] == ["2", "4"]
        assert run("verify").startswith("intact: 4 entries")
        with without_triggers() as cursor:
            cursor.execute("DELETE FROM accounts_auditseal WHERE position = 4")
        with pytest.raises(CommandError, match="position 4: missing"):
            run("verify")

    @pytest.mark.parametrize("head", ["", "1", "1:abc", "x:" + "0" * 64, "1:" + "g" * 64, "²:" + "0" * 64])
    def test_what_is_not_a_head_is_refused(self, head: str) -> None:
        with pytest.raises((CommandError, ValueError)):
            run("verify", "--head", head)

    def test_a_file_that_cannot_be_written_stops_nothing(
        self, settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.AUDIT_HEAD_FILE = str(tmp_path)
        record()
        assert run("head").startswith("1:")
        assert "not written" in caplog.text
