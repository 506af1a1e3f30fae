"""Base class of commands that generate a page of the docs from the code."""

from __future__ import annotations

import abc
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class GeneratedPage(BaseCommand, abc.ABC):
    """Write docs/`page`; with --check, fail if the file is out of date."""

    page: str
    """The file's name under docs/."""

    @abc.abstractmethod
    def text(self) -> str:
        """Return the whole page."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="fail if the page is out of date, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        file = Path(settings.BASE_DIR) / "docs" / self.page
        if not options["check"]:
            file.write_text(self.text())
        elif not file.exists() or file.read_text() != self.text():
            command = type(self).__module__.rpartition(".")[2]
            raise CommandError(f"docs/{self.page} is out of date: run manage.py {command}")
