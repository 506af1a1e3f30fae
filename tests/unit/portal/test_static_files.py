"""URLs of static files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin

from portal.static_files import StaticFiles


@pytest.fixture
def collected(tmp_path: Path, settings: Any) -> Path:
    """A directory with one collected file."""
    settings.DEBUG = False
    manifest = {"version": "1.1", "paths": {"css/shell.css": "css/shell.0123456789ab.css"}, "hash": "x"}
    (tmp_path / "staticfiles.json").write_text(json.dumps(manifest))
    return tmp_path


def test_a_url_has_the_hashed_name(collected: Path) -> None:
    assert StaticFiles(location=collected, base_url="/static/").url("css/shell.css") == (
        "/static/css/shell.0123456789ab.css"
    )


def test_a_url_is_looked_up_once(collected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = StaticFiles(location=collected, base_url="/static/")
    found = storage.url("css/shell.css")

    monkeypatch.setattr(ManifestFilesMixin, "stored_name", lambda *_: pytest.fail("looked up again"))

    assert storage.url("css/shell.css") == found


def test_a_file_that_was_not_collected_is_an_error_each_time(collected: Path) -> None:
    storage = StaticFiles(location=collected, base_url="/static/")

    for _ in range(2):
        with pytest.raises(ValueError, match="Missing staticfiles manifest entry"):
            storage.url("css/other.css")
