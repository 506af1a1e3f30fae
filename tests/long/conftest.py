"""Drills of minutes, which `make long` runs: with servers that most machines lack, under load, with figures."""

from __future__ import annotations

import os

from tests.system.conftest import directory

__all__ = ["directory"]

if not os.environ.get("DRIFTWATCH_LONG"):
    collect_ignore_glob = ["test_*.py"]
