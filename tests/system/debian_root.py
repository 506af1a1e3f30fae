"""A root directory like Debian's for tests, made without a registry: this machine's packages, with pip, npm and Go.

    python -m tests.system.debian_root DIRECTORY [--go GOROOT]

Where the images of python, node and golang have them: /usr/local/bin/pip, /usr/local/bin/npm, /usr/local/go.
"""

from __future__ import annotations

import argparse
import ensurepip
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    *("bash", "coreutils", "dash", "debianutils", "diffutils", "dpkg", "findutils", "grep", "gzip", "hostname"),
    *("libc-bin", "mawk", "mount", "perl-base", "sed", "tar", "util-linux"),
)
"""Essential on Debian, so that they are installed wherever the tests run."""
APT: Final = ("apt",)
KEPT: Final = re.compile(r"/(usr/)?(s?bin|lib|lib64|libexec|share/dpkg)/.+")
LEFT_OUT: Final = re.compile(r"/(locale|systemd|tmpfiles\.d|pam\.d)/|/usr/lib/apt/methods/(cdrom|ftp|http|rsh|ssh)")
DIRECTORIES: Final = (
    *(
        "dev",
        "proc",
        "sys",
        "root",
        "tmp",
        "run",
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "etc/dpkg/dpkg.cfg.d",
        "usr/local/bin",
        "usr/local/lib",
    ),
    *("var/tmp", "var/log/apt", "var/cache/apt/archives/partial", "var/lib/apt/lists/partial"),
    *("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/dpkg/alternatives"),
)
PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
OF_PYTHON: Final = re.compile(
    r"site-packages|test|idlelib|ensurepip|turtledemo|tkinter|pydoc_data|__pycache__|config-.*|_(tkinter|test).*\.so"
)
"""Of the standard library: what pip needs no more than a workload does."""
GO_PACKAGES: Final = ("fmt", "os", "strings", "testing", "testing/internal/testdeps")


def write_root(root: Path, *, go: Path | None = None, npm: bool = False, apt: bool = True) -> None:
    """Fill a new directory; `go` is a GOROOT with its compiled packages, as Debian's golang-1.19-go has it."""
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    _write_settings(root)
    programs = _copy_packages(root, (*PACKAGES, *APT) if apt else PACKAGES)
    programs += _write_python(root)
    if npm:
        programs.append(_write_npm(root))
    _copy_libraries(root, programs)
    if go is not None:
        _write_go(root / "usr/local/go", go)


def _write_settings(root: Path) -> None:
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n_apt:x:42:65534::/tmp:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\nadm:x:4:\nnogroup:x:65534:\n")
    (root / "etc/apt/apt.conf").write_text('APT::Sandbox::User "root";\nAcquire::Languages "none";\n')
    (root / "var/lib/dpkg/status").touch()
    (root / "var/lib/dpkg/available").touch()


def _copy_packages(root: Path, packages: tuple[str, ...]) -> list[Path]:
    listed = subprocess.run(["dpkg-query", "-L", *packages], capture_output=True, text=True, check=True).stdout
    copied = []
    for name in sorted(set(listed.splitlines())):
        source = Path(name)
        if not KEPT.fullmatch(name) or LEFT_OUT.search(name) or not (source.is_file() or source.is_symlink()):
            continue
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
        if not source.is_symlink() and os.access(source, os.X_OK):
            copied.append(source)
    for name, program in (("sh", "dash"), ("awk", "mawk")):
        link = root / "usr/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    return copied


def _write_python(root: Path) -> list[Path]:
    interpreter, library = Path(os.path.realpath(sys.executable)), Path(sysconfig.get_path("stdlib"))
    shutil.copy2(interpreter, root / "usr/local/bin" / PYTHON)
    for name in ("python3", "python"):
        (root / "usr/local/bin" / name).symlink_to(PYTHON)
    target = root / "usr/local/lib" / PYTHON
    shutil.copytree(library, target, ignore=lambda _, names: [each for each in names if OF_PYTHON.fullmatch(each)])
    packages = target / "site-packages"
    (wheel,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(packages)
    pip = root / "usr/local/bin/pip"
    pip.write_text(
        f"#!/usr/local/bin/{PYTHON}\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
    )
    pip.chmod(0o755)
    # Where an interpreter that is linked with its library looks for it.
    for each in (interpreter.parent.parent / "lib").glob("libpython3*.so*"):
        shutil.copy2(each, root / "usr/local/lib", follow_symlinks=False)
    return [interpreter, *(library / "lib-dynload").glob("*.so")]


def _write_npm(root: Path) -> Path:
    node = Path(os.path.realpath(shutil.which("node") or "node"))
    npm = Path(os.path.realpath(shutil.which("npm") or "npm"))
    modules = next(each for each in npm.parents if each.name == "npm" and (each / "package.json").exists())
    shutil.copy2(node, root / "usr/local/bin/node")
    shutil.copytree(
        modules,
        root / "usr/local/lib/node_modules/npm",
        symlinks=True,
        ignore=shutil.ignore_patterns("docs", "man", "test"),
    )
    (root / "usr/local/bin/npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    return node


def _write_go(target: Path, source: Path) -> None:
    """Copy Go with the packages that `go run` and `go test` of a small module need, out of all that it comes with."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GOROOT": str(source), "GOCACHE": "/nonexistent/c"}
    command = [str(source / "bin/go"), "list", "-deps", "-json=ImportPath", *GO_PACKAGES]
    listed = subprocess.run(
        command, env=environment | {"CGO_ENABLED": "0"}, capture_output=True, text=True, check=True, cwd="/"
    ).stdout
    names = [each["ImportPath"] for each in json.loads(f"[{listed.replace('}', '},').rstrip().rstrip(',')}]")]
    (target / "bin").mkdir(parents=True)
    shutil.copy2(source / "VERSION", target)
    shutil.copy2(source / "bin/go", target / "bin")
    compiled = Path("pkg/linux_amd64")
    tools = target / "pkg/tool/linux_amd64"
    tools.mkdir(parents=True)
    for tool in ("compile", "link", "asm", "buildid"):
        shutil.copy2(source / "pkg/tool/linux_amd64" / tool, tools)
    shutil.copytree(source / "pkg/include", target / "pkg/include")
    for name in names:
        shutil.copytree(
            source / "src" / name,
            target / "src" / name,
            ignore=lambda where, found: [each for each in found if Path(where, each).is_dir() or "_test.go" in each],
            dirs_exist_ok=True,
        )
        archive = source / compiled / f"{name}.a"
        if archive.exists():
            (target / compiled / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(archive, target / compiled / f"{name}.a")


def _copy_libraries(root: Path, programs: list[Path]) -> None:
    linked = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    for name in sorted(set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", linked, re.MULTILINE))):
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(os.path.realpath(name), target)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a root directory like Debian's.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--go", type=Path, help="a GOROOT to copy")
    parser.add_argument("--npm", action="store_true")
    chosen = parser.parse_args()
    write_root(chosen.directory, go=chosen.go, npm=chosen.npm)


if __name__ == "__main__":
    main()
