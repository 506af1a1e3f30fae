"""The dependency audit finds what applies to a locked version and fails when it cannot know; the scan finds secrets."""

from __future__ import annotations

import datetime as dt
import json
import secrets
import string
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from accounts.tokens import ENROLMENT, LINK, PERSON, SENSOR, new_token
from scripts import audit
from scripts.audit import AdvisoriesUnusable, Component, is_affected, locked_components, snapshot_findings, unexplained
from scripts.sbom import ROOT, bill_of_materials
from scripts.secret_scan import secrets_in

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
OLDEST = NOW - dt.timedelta(days=14)
BASE32 = string.ascii_uppercase + "234567"
DJANGO = Component("PyPI", "django", "5.2.9")


def advisory(name: str = "django", ecosystem: str = "PyPI", **changes: Any) -> dict[str, Any]:
    events = [{"introduced": "5.2"}, {"fixed": "5.2.10"}]
    return {
        "id": "GHSA-test",
        "aliases": ["CVE-2026-1"],
        "modified": "2026-11-28T00:00:00Z",
        "summary": "Something bad",
        "affected": [
            {"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        ],
        **changes,
    }


def snapshot(directory: Path, *advisories: dict[str, Any], ecosystem: str = "PyPI") -> Path:
    (directory / ecosystem).mkdir(exist_ok=True)
    with zipfile.ZipFile(directory / ecosystem / "all.zip", "w") as archive:
        for number, each in enumerate(advisories):
            archive.writestr(f"{number}.json", json.dumps(each))
    return directory


@pytest.mark.parametrize(
    ("events", "affected"),
    [
        ([{"introduced": "0"}, {"fixed": "5.2.9"}], False),
        ([{"introduced": "0"}, {"fixed": "5.2.10"}], True),
        ([{"introduced": "5.2.10"}], False),
        ([{"introduced": "0"}, {"last_affected": "5.2.9"}], True),
        ([{"introduced": "0"}, {"last_affected": "5.2.8"}], False),
        ([{"fixed": "4.2"}, {"introduced": "5.0"}, {"introduced": "0"}], True),
        ([{"introduced": "0"}, {"fixed": "4.2"}, {"introduced": "5.0"}, {"fixed": "5.1"}], False),
        ([{"introduced": "0"}, {"fixed": "not a version"}], True),
    ],
)
def test_the_events_of_a_range_decide_in_the_order_of_versions(events: list[dict[str, str]], *, affected: bool) -> None:
    assert is_affected("5.2.9", {"ranges": [{"type": "ECOSYSTEM", "events": events}]}) is affected


def test_a_range_of_commits_says_nothing_of_a_version_and_a_named_version_is_affected() -> None:
    commits = {"type": "GIT", "events": [{"introduced": "0"}]}

    assert not is_affected("5.2.9", {"ranges": [commits]})
    assert is_affected("5.2.9", {"ranges": [commits], "versions": ["5.2.9"]})


def test_a_snapshot_names_what_applies_to_a_locked_version_whatever_its_spelling(tmp_path: Path) -> None:
    place = snapshot(tmp_path, advisory("Django"), advisory("flask"), advisory(withdrawn="2026-01-01T00:00:00Z"))
    found = snapshot_findings(place, [DJANGO], OLDEST)

    assert [str(each) for each in found] == ["django 5.2.9 (PyPI): GHSA-test, CVE-2026-1: Something bad"]
    assert snapshot_findings(place, [Component("PyPI", "django", "5.2.10")], OLDEST) == []


def test_an_advisory_of_another_ecosystem_does_not_apply(tmp_path: Path) -> None:
    assert snapshot_findings(snapshot(tmp_path, advisory(ecosystem="npm")), [DJANGO], OLDEST) == []


@pytest.mark.parametrize("damage", ["missing", "not a zip", "no advisories", "old", "not JSON"])
def test_without_usable_advisories_nothing_passes(damage: str, tmp_path: Path) -> None:
    file = (
        snapshot(tmp_path, advisory(modified="2026-11-01T00:00:00Z") if damage == "old" else advisory())
        / "PyPI/all.zip"
    )
    if damage == "missing":
        file.unlink()
    elif damage == "not a zip":
        file.write_bytes(b"<html>")
    elif damage == "no advisories":
        snapshot(tmp_path)
    elif damage == "not JSON":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("1.json", "{")

    with pytest.raises(AdvisoriesUnusable):
        snapshot_findings(tmp_path, [DJANGO], OLDEST)


def test_an_exception_explains_an_advisory_by_any_of_its_names_until_it_ends(tmp_path: Path) -> None:
    found = snapshot_findings(snapshot(tmp_path, advisory()), [DJANGO], OLDEST)
    rule = {"reason": "not reached", "until": NOW.date()}

    assert len(unexplained(found, {}, NOW.date())) == 1
    assert unexplained(found, {"CVE-2026-1": rule}, NOW.date()) == []
    assert "ended on 2026-11-29" in unexplained(found, {"GHSA-test": rule}, NOW.date() + dt.timedelta(days=1))[0]
    assert len(unexplained(found, {"CVE-2026-2": rule}, NOW.date())) == 1


def test_every_exception_has_a_reason_and_an_end() -> None:
    for name, rule in tomllib.loads(audit.EXCEPTIONS.read_text()).items():
        assert rule["reason"], name
        assert isinstance(rule["until"], dt.date), name


def test_the_command_fails_with_its_reason_without_advisories_and_with_one_that_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADVISORIES", str(tmp_path))
    assert audit.main() == 2
    assert "could not be audited" in capsys.readouterr().err
    now = dt.datetime.now(dt.UTC).isoformat()
    everything = [{"introduced": "0"}]
    snapshot(tmp_path, advisory("other", "npm", modified=now), ecosystem="npm")
    snapshot(tmp_path, advisory("other", modified=now))
    assert audit.main() == 0
    applies = advisory("django", modified=now)
    applies["affected"][0]["ranges"][0]["events"] = everything
    snapshot(tmp_path, applies)
    assert audit.main() == 1
    assert "GHSA-test" in capsys.readouterr().out


def test_the_bill_of_materials_names_every_locked_package_with_its_digests_and_is_the_same_each_time() -> None:
    found = bill_of_materials()
    python = {package["name"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]} - {"driftwatch"}
    scripts = {
        name.removeprefix("node_modules/") for name in json.loads((ROOT / "package-lock.json").read_text())["packages"]
    }
    components = {each.name for each in locked_components()}

    assert components == python | (scripts - {""})
    assert all("hashes" in str(each) for each in found["components"] if each["type"] == "library")
    assert any(each["type"] == "container" and each["name"].endswith("/python") for each in found["components"])
    assert found == bill_of_materials()


def _letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))


def _private_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    ("rule", "planted"),
    [
        ("AWS", lambda: f'AWS_ACCESS_KEY_ID = "AKIA{_letters(16, BASE32)}"\nAWS_SECRET_ACCESS_KEY = "{_letters(40)}"'),
        ("GitHub", lambda: f'TOKEN = "ghp_{_letters(36)}"'),
        ("private-key", _private_key),
        ("URI", lambda: f'DATABASE_URL = "postgresql://portal:{_letters(16)}@db.acme.io/driftwatch"'),
        *(
            ("Driftwatch", lambda kind=kind: f"token: {new_token(kind).token}")
            for kind in (PERSON, SENSOR, ENROLMENT, LINK)
        ),
    ],
)
def test_a_planted_secret_is_found_by_file_and_line_and_not_quoted(rule: str, planted: Any, tmp_path: Path) -> None:
    secret = planted()
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "config.py").write_text(f"# a file\n\n{secret}\n")
    (line,) = secrets_in(tmp_path)

    assert line.startswith("deploy/config.py:3: ")
    assert rule.lower() in line.lower()
    assert secret not in line
