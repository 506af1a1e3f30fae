"""A container whose held execs are checked: directories stand in for an image layer and its own layer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sensor.blocking.block_plan import ClusterLocation
from sensor.blocking.exec_check import ExecChecker, Finding, HeldContainer, HoldPolicy, ImageIndexes, OpenedFile
from sensor.capture.block_tables import ExecMark
from sensor.container.overlay import Layers
from sensor.files.handles import OpenFile
from sensor.policy import DEFAULT_DETECT, compile_policy
from sensor.record import LastWriter, SessionOf
from sensor.wire import Container
from tests.unit.sensor.file_states import FakeWriteRecords
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

Json = dict[str, Any]


class Box:
    """One container; its root is the upper directory alone, because every opened file lies there."""

    def __init__(self, directory: Path) -> None:
        self.lower, self.upper = directory / "lower", directory / "upper"
        self._open: list[OpenFile] = []
        self.records = FakeWriteRecords()
        self.checker = ExecChecker(ImageIndexes(), self.records)
        self.follow(minimal_rule(action="ignore"))

    def put(self, layer: Path, path: str, content: bytes) -> None:
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        (layer / path).write_bytes(content)
        (layer / path).chmod(0o755)

    def follow(self, *rules: Json, detect: tuple[str, ...] = DEFAULT_DETECT) -> None:
        self.policy = HoldPolicy(
            compile_policy(document_of(*rules)), frozenset(detect), ClusterLocation("azure", "1", "prod")
        )

    def held(self, kinds: int = 0) -> HeldContainer:
        layers = Layers((bytes(self.lower),), bytes(self.upper))
        return HeldContainer(layers, Container(id="c" * 64, name="app", image_name="app:1"), (kinds, kinds, kinds))

    def opened(self, path: str, layer: Path | None = None, seen_at: str = "", parent: bytes = b"sh") -> OpenedFile:
        fd = os.open((layer or self.upper) / path, os.O_RDONLY)
        facts = os.fstat(fd)
        file = OpenFile(fd, facts.st_size, facts.st_ino, facts.st_dev, facts.st_ctime_ns)
        self._open.append(file)
        return OpenedFile(file, f"/{seen_at or path}".encode(), f"/{path}".encode(), parent)

    def finding(self, path: str, kinds: int = 0, **more: Any) -> Finding:
        return self.checker.check(self.policy, self.held(kinds), self.opened(path, **more))

    def says(
        self, path: str, kinds: int = 0, *, session: int = SessionOf.UNKNOWN, is_known: bool = False, **more: Any
    ) -> ExecMark | None:
        """Return the mark; None where the exec may run, also where that is for the checked data alone.

        `is_known`: of a file whose writers are those that the record has.
        """
        marks, data = self.finding(path, kinds, **more)
        mark = (marks.unknown if marks.known is None or not is_known else marks.known)[session]
        return None if mark is ExecMark.CHECKED and data is not None else mark

    def write_as(self, path: str, origins: int, writer: LastWriter | None = None) -> None:
        """Put a file there whose record has these writers."""
        self.put(self.upper, path, b"new " + path.encode())
        ino = (self.upper / path).stat().st_ino
        self.records.origins[ino] = origins
        if writer is not None:
            self.records.writers[ino] = writer

    def close(self) -> None:
        for file in self._open:
            file.close()


def block(**fields: Any) -> Json:
    return minimal_rule(action="block", **fields)


def scope(name: str, *values: str) -> list[Json]:
    return [{"property": name, "any_of": [{"operator": "equals", "value": value} for value in values]}]
