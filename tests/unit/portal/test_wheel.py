"""The portal's wheel: it has all that the portal needs at run time, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sensor.version import VERSION

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("portal", "accounts", "drift", "sensor")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout as `pip wheel .` does, and unpacked."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = directory.glob("driftwatch-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory / "unpacked")
    return directory / "unpacked"


def tracked(*places: str) -> set[str]:
    """Return the files below these places that git knows, or would add."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *places]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    return {name for name in found.splitlines() if (ROOT / name).is_file()}


SERVED = ("deploy/charts/driftwatch-sensor", "deploy/sensor")
"""What the onboarding page's lines fetch from the portal."""


def test_it_has_every_file_of_the_packages_every_template_and_every_static_file(unpacked: Path) -> None:
    held = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    held = {name for name in held if ".dist-info/" not in name and name != "sensor/COMMIT"}
    pages = {f"portal/{name}" for name in tracked("templates", "static", *SERVED)}
    vendor = {f"portal/static/vendor/{path.name}" for path in (ROOT / "static/vendor").iterdir()}
    assert "portal/static/vendor/sortable.esm.js" in vendor
    assert held == tracked(*PACKAGES) | pages | vendor


def test_it_requires_what_the_project_does(unpacked: Path) -> None:
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    needed = [line.partition(": ")[2] for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {Requirement(each) for each in needed} == {Requirement(each) for each in project["dependencies"]}


def test_it_runs_without_the_checkout_and_reports_the_commit(unpacked: Path, tmp_path: Path) -> None:
    program = "import sys; from portal.program.main import main; sys.exit(main(['--version']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"driftwatch-portal {VERSION}\n", "")


def test_its_settings_find_templates_and_static_files_inside_the_package(unpacked: Path, tmp_path: Path) -> None:
    program = (
        "from django.conf import settings as s; print(s.TEMPLATES[0]['DIRS'][0], s.STATICFILES_DIRS[0], s.STATIC_ROOT)"
    )
    env = {
        "PYTHONPATH": str(unpacked),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY": "x",
        "DATABASE_URL": "postgresql://a@127.0.0.1:1/a",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=True
    )
    package = unpacked / "portal"
    assert done.stdout.split() == [str(package / "templates"), str(package / "static"), str(package / "staticfiles")]
