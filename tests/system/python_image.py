"""Images of sensor and portal for tests, made without a network: the wheel on the Python that runs these tests.

deploy/*/Containerfile put the same wheels on python:3.13-slim; scripts/image-check.sh runs the tests with those.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.sensor.deployed import built_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.system.podman import Podman

PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY: Final = f"usr/local/lib/{PYTHON}"
PACKAGES: Final = f"{LIBRARY}/site-packages"
LEFT_OUT: Final = re.compile(
    r"site-packages|test|idlelib|ensurepip|turtledemo|tkinter|pydoc_data|config-.*|_(tkinter|test).*\.so|.*opt-\d\.pyc"
)
"""Of the standard library: what no sensor imports."""


@dataclass(frozen=True)
class Image:
    """What the Containerfile says besides files, and which function its program calls."""

    program: str
    module: str
    changes: tuple[str, ...]
    needs_libbpf: bool = False
    compiled: bool = False
    """With the byte code of what is installed here: a Django on a read-only root would be compiled at each start."""


SENSOR: Final = Image(
    "driftwatch-sensor",
    "sensor.commands.main",
    (
        'ENTRYPOINT ["driftwatch-sensor"]',
        'CMD ["run"]',
        "ENV PATH=/usr/local/bin:/usr/bin:/bin",
        "ENV PYTHONDONTWRITEBYTECODE=1",
    ),
    needs_libbpf=True,
)
PORTAL: Final = Image(
    "driftwatch-portal",
    "portal.program.main",
    (
        'ENTRYPOINT ["driftwatch-portal"]',
        'CMD ["web", "--host", "0.0.0.0"]',
        "ENV PATH=/usr/local/bin:/usr/bin:/bin",
        "ENV PYTHONDONTWRITEBYTECODE=1",
        "ENV PYTHONUNBUFFERED=1",
        "ENV STATIC_ROOT=/usr/local/share/driftwatch/static",
        "ENV DATA_DIR=/data",
        "USER 65532:65532",
    ),
    compiled=True,
)


def write(archive: Path, wheel: Path, image: Image, files: Mapping[str, Path] | None = None) -> None:
    """The image's files as a tar archive; `files` are further files and directories, by where they belong."""
    with tarfile.open(archive, "w") as tar, zipfile.ZipFile(wheel) as packed:
        for name in ("proc", "sys", "dev", "run", "etc"):
            add(tar, name, kind=tarfile.DIRTYPE)
        for name in ("tmp", "data"):
            add(tar, name, kind=tarfile.DIRTYPE, mode=0o1777)
        add(tar, "usr/local/bin/python", kind=tarfile.SYMTYPE, target=PYTHON)
        program = f"#!/usr/local/bin/python\nimport sys\nfrom {image.module} import main\nsys.exit(main())\n"
        add(tar, f"usr/local/bin/{image.program}", program.encode())
        for name in packed.namelist():
            add(tar, f"{PACKAGES}/{name}", packed.read(name))
        interpreter, library = Path(os.path.realpath(sys.executable)), Path(sysconfig.get_path("stdlib"))
        tar.add(interpreter, f"usr/local/bin/{PYTHON}")
        tar.add(library, LIBRARY, filter=_wanted)
        modules = [each for each in (library / "lib-dynload").glob("*.so") if not LEFT_OUT.fullmatch(each.name)]
        native = [interpreter, *modules, *([_libbpf()] if image.needs_libbpf else [])]
        for file in _files_of(_needed(packed)):
            if file.suffix == ".pyc":
                continue  # some installers list them, others do not
            path = Path(str(file.locate()))
            tar.add(path, f"{PACKAGES}/{file}", recursive=False)
            native += [path] if ".so" in path.suffixes else []
            cached = Path(importlib.util.cache_from_source(str(path))) if path.suffix == ".py" else path
            if image.compiled and cached != path and cached.exists():
                tar.add(cached, f"{PACKAGES}/{Path(str(file)).parent}/__pycache__/{cached.name}")
        packages = os.path.realpath(sysconfig.get_path("purelib"))
        # A wheel brings some of its libraries itself.
        for shared in (each for each in shared_libraries(native) if not os.path.realpath(each).startswith(packages)):
            tar.add(os.path.realpath(shared), shared.lstrip("/"))
        for name, path in (files or {}).items():
            tar.add(os.path.realpath(path), name.lstrip("/"))


def sensor(podman: Podman, directory: Path) -> str:
    """Make the sensor's image of its wheel, in a directory of its own; return its reference."""
    directory.mkdir(exist_ok=True)
    archive = directory / "image.tar"
    write(archive, built_wheel(directory), SENSOR)
    return podman.imported("driftwatch-sensor:1", archive, *SENSOR.changes)


def add(
    tar: tarfile.TarFile,
    name: str,
    content: bytes = b"",
    kind: bytes = tarfile.REGTYPE,
    target: str = "",
    mode: int = 0o755,
) -> None:
    """Add a file, directory or symlink."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size, entry.mode = kind, target, len(content), mode
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
        files[canonicalize_name(wanted.name)] = [file for file in found.files or () if ".." not in file.parts]
        asked = [Requirement(each) for each in found.requires or ()]
        asked = [each for each in asked if any(_applies(each, extra) for extra in ("", *wanted.extras))]
        waiting += [each for each in asked if canonicalize_name(each.name) not in files]
    return [file for each in files.values() for file in each]


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _libbpf() -> Path:
    """Where the loader finds it, which is where the image has it too."""
    ctypes.CDLL("libbpf.so.1")
    (line, *_) = [line for line in Path("/proc/self/maps").read_text().splitlines() if "libbpf.so" in line]
    return Path(line.split()[-1]).with_name("libbpf.so.1")


def shared_libraries(programs: Sequence[Path]) -> set[str]:
    """The shared libraries that these are linked with, and those among them that are libraries of the system."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, timeout=60, check=True).stdout
    return {
        *re.findall(r"(?:=> |^\t)(/\S+) \(0x", said, re.MULTILINE),
        *(str(each) for each in programs if each.name.startswith("libbpf")),
    }
