"""What the commands share that write a page of the docs from the code."""

from __future__ import annotations

import abc
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class GeneratedPage(BaseCommand, abc.ABC):
    """Writes `docs/NAME`; with --check fails where the file does not hold what the code says now."""

    page: str
    """The file's name under docs/."""

    @abc.abstractmethod
    def text(self) -> str:
        """The whole page, from the code as it is."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")

    def handle(self, *args: Any, **options: Any) -> None:
        file = Path(settings.BASE_DIR) / "docs" / self.page
        if not options["check"]:
            file.write_text(self.text())
        elif not file.exists() or file.read_text() != self.text():
            command = type(self).__module__.rpartition(".")[2]
            raise CommandError(f"docs/{self.page} is out of date: run manage.py {command}")
