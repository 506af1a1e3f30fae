"""An image of the sensor for tests, made without a network: its wheel on the Python that runs these tests.

deploy/sensor/Containerfile puts the same wheel on python:3.13-slim; scripts/image-check.sh runs the tests with that.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY: Final = f"usr/local/lib/{PYTHON}"
PACKAGES: Final = f"{LIBRARY}/site-packages"
LEFT_OUT: Final = re.compile(
    r"site-packages|test|idlelib|ensurepip|turtledemo|tkinter|pydoc_data|config-.*|_(tkinter|test).*\.so|.*opt-\d\.pyc"
)
"""Of the standard library: what no sensor imports."""
PROGRAM: Final = b"""\
#!/usr/local/bin/python
import sys
from sensor.commands.main import main
sys.exit(main())
"""
CHANGES: Final = (
    'ENTRYPOINT ["driftwatch-sensor"]',
    'CMD ["run"]',
    "ENV PATH=/usr/local/bin:/usr/bin:/bin",
    "ENV PYTHONDONTWRITEBYTECODE=1",
)
"""What the Containerfile says besides files."""


def write(archive: Path, wheel: Path) -> None:
    """The image's files as a tar archive."""
    with tarfile.open(archive, "w") as tar, zipfile.ZipFile(wheel) as packed:
        for name in ("proc", "sys", "dev", "tmp", "run", "etc"):
            _add(tar, name, kind=tarfile.DIRTYPE)
        _add(tar, "usr/local/bin/python", kind=tarfile.SYMTYPE, target=PYTHON)
        _add(tar, "usr/local/bin/driftwatch-sensor", PROGRAM)
        for name in packed.namelist():
            _add(tar, f"{PACKAGES}/{name}", packed.read(name))
        interpreter, library = Path(os.path.realpath(sys.executable)), Path(sysconfig.get_path("stdlib"))
        tar.add(interpreter, f"usr/local/bin/{PYTHON}")
        tar.add(library, LIBRARY, filter=_wanted)
        modules = [each for each in (library / "lib-dynload").glob("*.so") if not LEFT_OUT.fullmatch(each.name)]
        native = [interpreter, *modules, _libbpf()]
        for file in _files_of(_needed(packed)):
            path = Path(str(file.locate()))
            tar.add(path, f"{PACKAGES}/{file}", recursive=False)
            native += [path] if ".so" in path.suffixes else []
        for shared in _shared(native):
            tar.add(os.path.realpath(shared), shared.lstrip("/"))


def _add(
    tar: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size, entry.mode = kind, target, len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if LEFT_OUT.fullmatch(Path(entry.name).name) else entry


def _needed(packed: zipfile.ZipFile) -> list[Requirement]:
    (metadata,) = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
    said = Parser().parsestr(packed.read(metadata).decode())
    return [Requirement(each) for each in said.get_all("Requires-Dist", [])]


def _files_of(needed: Iterable[Requirement]) -> list[importlib.metadata.PackagePath]:
    """Of these distributions and all that they need, as they are installed here."""
    waiting, files = list(needed), dict[str, list[importlib.metadata.PackagePath]]()
    while waiting:
        wanted = waiting.pop()
        found = importlib.metadata.distribution(wanted.name)
        files[wanted.name] = [file for file in found.files or () if ".." not in file.parts]
        asked = [Requirement(each) for each in found.requires or ()]
        asked = [each for each in asked if any(_applies(each, extra) for extra in ("", *wanted.extras))]
        waiting += [each for each in asked if each.name not in files]
    return [file for each in files.values() for file in each]


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _libbpf() -> Path:
    """Where the loader finds it, which is where the image has it too."""
    ctypes.CDLL("libbpf.so.1")
    (line, *_) = [line for line in Path("/proc/self/maps").read_text().splitlines() if "libbpf.so" in line]
    return Path(line.split()[-1]).with_name("libbpf.so.1")


def _shared(programs: Iterable[Path]) -> set[str]:
    """The shared libraries that these are linked with, and those among them that are libraries of the system."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, timeout=60, check=True).stdout
    return {*re.findall(r"(?:=> |^\t)(/\S+) \(0x", said, re.MULTILINE), str(_libbpf())}
