"""A container of two directories, and a judge of what ran in it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from sensor.container.identify import Resolved
from sensor.container.overlay import Layers
from sensor.files.handles import OpenFile
from sensor.judgement.decide import Verdict, decide
from sensor.judgement.gather import FactGatherer
from sensor.record import Flag, Record
from sensor.wire import Container
from tests.unit.sensor.file_states import FakeWriteRecords
from tests.unit.sensor.records import record

ROOT, OTHER, NOBODY = os.makedev(0, 40), os.makedev(0, 41), 2**22 + 1


class Judge(FactGatherer):
    """Gathers the facts on an exec and decides, as `Examiner` does."""

    def judge(self, record: Record, resolved: Resolved, running: OpenFile | None) -> Verdict | None:
        return decide(self.gather(record, resolved, running))


class Box:
    """A container of two directories: its image's only layer, and its own."""

    def __init__(self, directory: Path) -> None:
        self.records = FakeWriteRecords()
        self.image, self.upper = directory / "image", directory / "upper"
        self.image.mkdir()
        self.upper.mkdir()
        (directory / "config.json").write_text(
            json.dumps({"mounts": [{"destination": "/data"}, {"destination": "/x"}]})
        )
        self.resolved = Resolved(
            Container(id="a1" * 32),
            complete=True,
            root_dev=ROOT,
            layers=Layers((bytes(self.image),), bytes(self.upper)),
            pid=NOBODY,
            bundle=directory,
        )

    def put(self, layer: Path, path: str, content: str) -> Path:
        file = layer / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o755)
        return file

    def ran(self, path: str, content: str) -> Record:
        """Return the record of a file of the upper layer that ran and exited."""
        facts = self.put(self.upper, path, content).stat()
        return record(
            flags=Flag.UPPER,
            path=path.encode(),
            inner_path=path.encode(),
            dev=ROOT,
            ino=facts.st_ino,
            size=facts.st_size,
            ctime_ns=facts.st_ctime_ns,
            pid=NOBODY,
            ancestors=(),
            state=self.records.of(facts.st_ino),
        )


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
