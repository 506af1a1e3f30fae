"""What the five workloads of `tests/system/vm/workloads.py` install and build, made by the tools that read it.

python -m tests.system.planted_inputs DIRECTORY
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.system.vm.workloads import MODULES, PACKAGES, PLUGINS, TESTED, WHEELS

if TYPE_CHECKING:
    from collections.abc import Mapping

EXITS: Final = 'void _start(void) { __asm__("mov $60, %eax; xor %edi, %edi; syscall"); }'
"""A program that ends at once, in a few kilobytes."""
SCRIPT: Final = "#!/bin/sh\nexit 0\n# {}\n"


def write_inputs(directory: Path) -> None:
    """Fill a new directory with packages, wheels, npm's tarballs, a Go module and plugins."""
    for name in ("debs", "wheels", "npm", "go", "plugins"):
        (directory / name).mkdir(parents=True)
    program = directory / "program"
    command = ["gcc", "-nostdlib", "-static", "-s", "-Wl,-z,noseparate-code,--build-id=none", "-o", str(program)]
    subprocess.run([*command, "-x", "c", "-"], input=EXITS, text=True, check=True)
    exits = program.read_bytes()
    for number in range(PACKAGES):
        _write_deb(directory, number, exits)
    for number in range(WHEELS):
        _write_wheel(directory / "wheels", number, exits)
    for number in range(MODULES):
        _write_tarball(directory / "npm", number, exits)
    _write_go(directory / "go")
    for number in range(PLUGINS):
        for release in (1, 2):
            (directory / f"plugins/{release}-{number}").write_bytes(_own(exits, f"plugin {release} {number}"))


def _own(program: bytes, name: str) -> bytes:
    """Return the program with a content that no other one has."""
    return program + name.encode()


def _write_deb(directory: Path, number: int, exits: bytes) -> None:
    tree = directory / f"tree-{number}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    control = f"Package: tool-{number}\nVersion: 1.{number}\nArchitecture: amd64\nMaintainer: t <t@example.com>\n"
    (tree / "DEBIAN/control").write_text(control + "Description: a tool\n")
    if number % 2:
        script = tree / "DEBIAN" / ("preinst" if number % 4 == 1 else "postinst")
        script.write_text(SCRIPT.format(number))
        script.chmod(0o755)
    tool = tree / f"usr/bin/tool-{number}"
    tool.write_bytes(_own(exits, f"tool {number}"))
    tool.chmod(0o755)
    archive = directory / f"debs/tool-{number}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(archive)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _write_wheel(directory: Path, number: int, exits: bytes) -> None:
    """Write one with a console script, a program among its modules, and one that goes beside the interpreter."""
    name, info = f"pkg{number}", f"pkg{number}-1.dist-info"
    files: dict[str, bytes] = {
        f"{name}/__init__.py": b"def main() -> None:\n    import subprocess, sys, pathlib\n    where = pathlib.Path"
        b"(__file__).parent\n    sys.exit(subprocess.call([where / 'module']))\n",
        f"{name}/module": _own(exits, f"module {number}"),
        f"{name}-1.data/scripts/native-{number}": _own(exits, f"native {number}"),
        f"{name}-1.data/scripts/cli-{number}": SCRIPT.format(number).encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\nmodule-{number} = {name}:main\n".encode(),
    }
    lines = [f"{path},sha256={_urlsafe(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(directory / f"{name}-1-py3-none-any.whl", "w") as wheel:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if content.startswith((b"\x7fELF", b"#!")) else 0o100644) << 16
            wheel.writestr(entry, content)


def _urlsafe(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def _write_tarball(directory: Path, number: int, exits: bytes) -> None:
    """Write a package with a script and a program, as those have that bring a compiled part."""
    binaries = {f"script-{number}": "bin/script", f"native-{number}": "bin/native"}
    description = {"name": f"module-{number}", "version": "1.0.0", "bin": binaries}
    files: Mapping[str, bytes] = {
        "package.json": json.dumps(description).encode(),
        "bin/script": SCRIPT.format(number).encode(),
        "bin/native": _own(exits, f"npm {number}"),
    }
    with tarfile.open(directory / f"module-{number}-1.0.0.tgz", "w:gz") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))


def _write_go(directory: Path) -> None:
    (directory / "go.mod").write_text("module example.com/m\n\ngo 1.19\n")
    for number in range(TESTED):
        for name in ("pkg", "run"):
            (directory / f"{name}{number}").mkdir()
        package = directory / f"pkg{number}/pkg"
        package.with_suffix(".go").write_text(f"package pkg{number}\n\nfunc Number() int {{ return {number} }}\n")
        package.with_name("pkg_test.go").write_text(
            f'package pkg{number}\n\nimport "testing"\n\nfunc TestNumber(t *testing.T) {{\n'
            f"\tif Number() != {number} {{\n\t\tt.Fatal()\n\t}}\n}}\n"
        )
        (directory / f"run{number}/main.go").write_text(f'package main\n\nfunc main() {{ println("run {number}") }}\n')


if __name__ == "__main__":
    write_inputs(Path(sys.argv[1]))
