"""The restore drill: everything is killed, restored elsewhere, and the estate goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.parts import Parts
from tests.system.stack import ROOT, eventually
from tests.system.test_portal_half_down import MAKE_ADMIN, Node, save

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
NEW_EVENTS = "SELECT event_id FROM alerts_driftevent WHERE received_at > now() - interval '10 seconds'"
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Parts]]:
    """Portals that are stopped at the end, whatever is left of them."""
    made: list[Parts] = []
    yield made
    for each in made:
        each.stop()


def portal(directory: Path, places: list[Parts]) -> Parts:
    directory.mkdir()
    made = Parts(directory)
    places.append(made)
    return made


def drift_recording(file: Path) -> Path:
    """A new file that runs in kube-system, where the first policy alerts, each second for an hour."""
    container = {"id": "c" * 64, "name": "app", "image_name": "docker.io/library/nginx:1.27"}
    container |= {"namespace": "kube-system", "pod_name": "web-0"}
    process = {"name": "x", "argv": ["x"], "pid": 7, "hash_status": "gone"}
    lines = [
        {"at": at, "kind": "new_file", "process": {**process, "path": f"/tmp/{at}"}, "container": container}
        for at in range(3_600)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def failed(parts: Parts, *words: str) -> str:
    """What `manage.py` says when it fails."""
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(command, cwd=ROOT, env=parts.env, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_after_the_drill_sensors_go_on_numbers_rise_and_the_audit_log_is_intact(
    directory: Path, tmp_path: Path, places: list[Parts]
) -> None:
    old = portal(directory / "old", places)
    old.prepare()
    old.manage("shell", "-c", MAKE_ADMIN)
    old.start("web", "gateway", "worker", "beat")
    node = Node(old, tmp_path, drift_recording(tmp_path / "recording.jsonl"))
    node.enrol()
    node.start()
    try:
        eventually(lambda: node.number() == 1, "version 1 is applied", 60)
        eventually(lambda: old.rows("SELECT event_id FROM alerts_driftevent"), "events are stored", 60)
        events = set(old.rows("SELECT event_id FROM alerts_driftevent"))
        secret, file = tmp_path / "passphrase", tmp_path / "driftwatch.backup"
        secret.write_text(PASSPHRASE + "\n")
        said = old.manage("backup", str(file), "--passphrase-file", str(secret))
        assert "encrypted" in said
        assert "SECRET_KEY belongs to this backup" in said
        assert file.stat().st_mode & 0o777 == 0o600

        # Versions that the backup does not know: the sensor's number is higher than any in it.
        save(old, 1, "alert")
        save(old, 2, "ignore")
        eventually(lambda: node.number() == 3, "version 3 is applied", 60)
        old.stop()

        new = portal(directory / "new", places)
        new.move_to(old)
        new.prepare(migrate=False)
        before = new.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert "SECRET_KEY is not the one of this backup" in _with_key(new, "another", file, secret)
        with zipfile.ZipFile(file) as archive:
            dump = archive.read("database.dump.age")
        _rewrite(file, tmp_path / "changed", "database.dump.age", dump[:-1] + b"x")
        assert "has another SHA-256" in failed(
            new, "restore", str(tmp_path / "changed"), "--passphrase-file", str(secret)
        )
        secret.write_text("another passphrase\n")
        assert "The passphrase is not that of this backup." in failed(
            new, "restore", str(file), "--passphrase-file", str(secret)
        )
        assert new.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == before == [(0,)]
        secret.write_text(PASSPHRASE)
        assert "the audit log is intact" in new.manage("restore", str(file), "--passphrase-file", str(secret))
        assert "The database is not empty" in failed(new, "restore", str(file), "--passphrase-file", str(secret))

        new.start("web", "gateway", "worker", "beat")
        assert set(new.rows("SELECT event_id FROM alerts_driftevent")) >= events
        eventually(lambda: len(set(new.rows(NEW_EVENTS)) - events) > 10, "the sensor's new events are stored", 150)
        floor = "SELECT number FROM policy_numberfloor"
        eventually(lambda: new.rows(floor)[0][0] >= 3, "the sensor proves version 3", 150)
        save(new, 1, "alert")
        eventually(lambda: node.number() == 4, "the next version is above what was lost", 150)
        assert new.manage("audit", "verify").startswith("intact")
    finally:
        node.stop()


def _rewrite(file: Path, to: Path, member: str, content: bytes) -> None:
    """Write a copy of a backup with other content in one member."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name == member else old.read(name))


def _with_key(parts: Parts, key: str, file: Path, secret: Path) -> str:
    before = parts.env["SECRET_KEY"]
    parts.env["SECRET_KEY"] = key
    try:
        return failed(parts, "restore", str(file), "--passphrase-file", str(secret))
    finally:
        parts.env["SECRET_KEY"] = before


def test_a_damaged_changed_or_foreign_file_is_refused_and_nothing_is_restored(
    directory: Path, tmp_path: Path, places: list[Parts]
) -> None:
    parts = portal(directory / "one", places)
    parts.prepare()
    good = tmp_path / "good"
    parts.manage("backup", str(good))
    assert f"{good} exists." in failed(parts, "backup", str(good))
    assert "cannot be written" in failed(parts, "backup", str(tmp_path / "missing/x"))
    owner = parts.env.pop("MIGRATION_DATABASE_URL")
    refused = failed(parts, "backup", str(tmp_path / "other-role"))
    assert "permission denied for" in refused
    assert refused.endswith(" With two roles it needs MIGRATION_DATABASE_URL.")
    parts.env["MIGRATION_DATABASE_URL"] = owner
    content = good.read_bytes()
    other = tmp_path / "other"

    for changed in (content[:-200], b"no zip", b""):
        other.write_bytes(changed)
        assert "is not a backup of Driftwatch" in failed(parts, "restore", str(other))
    with zipfile.ZipFile(good) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    _rewrite(good, other, "manifest.json", json.dumps(manifest | {"created_at": "later"}).encode())
    assert "the backup was changed" in failed(parts, "restore", str(other))
    assert not [each for each in tmp_path.iterdir() if each.suffix == ".partial"]
