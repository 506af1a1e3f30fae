"""In place of programs that a page cannot run here: each checks what it is given, and fails where that is wrong.

What would be sent to a cluster is collected in `$DOCS_ROOT/manifests`, and what is named there in `$DOCS_ROOT/objects`:
test_commands.py validates both.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(os.environ.get("DOCS_ROOT", "."))
"""The page's directory in place of `/`."""
CHECKOUT: Final = Path(os.environ.get("DOCS_CHECKOUT", "."))
NOT_OF_TEMPLATE: Final = {"--install", "--reuse-values", "--reset-then-reuse-values", "--wait", "--atomic"}
OBJECT: Final = re.compile(r"(job|deploy|deployment|daemonset|ds)/([\w-]+)")
KINDS: Final = {"job": "Job", "deploy": "Deployment", "deployment": "Deployment", "ds": "DaemonSet"}


class WrongError(Exception):
    """One line: what a command names that does not exist, or asks for in a way that would fail."""


def main(argv: Sequence[str]) -> int:
    """Do the part of a program's work that can be done here; return its exit status."""
    name, words = Path(argv[0]).name, list(argv[1:])
    try:
        return PROGRAMS[name](words) or 0
    except (WrongError, argparse.ArgumentError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def _real(name: str, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    found = shutil.which(name, path=os.environ["REAL_PATH"]) or str(CHECKOUT / ".tools" / name)
    done = subprocess.run([found, *words], capture_output=True, text=True, timeout=60, check=False, **options)
    if done.returncode:
        raise WrongError((done.stderr or done.stdout).strip())
    return done


def _need(condition: object, problem: str) -> None:
    if not condition:
        raise WrongError(problem)


def _helm(words: list[str]) -> None:
    verb, *rest = words
    if verb == "package":
        _real("helm", *words)
        return
    if verb == "template":
        sys.stdout.write(_real("helm", *words).stdout)
        return
    if verb in {"install", "upgrade"}:
        kept = [word for word in rest if word not in NOT_OF_TEMPLATE]
        done = _real("helm", "template", *kept, "--kube-version", os.environ.get("KUBERNETES", "v1.34.0"))
        _collect(done.stdout)
        return
    _need(verb in {"rollback", "uninstall", "history", "status", "get"}, f"{verb} is not known here")


def _kubectl(words: list[str]) -> int:
    before, after = _split(words)
    verb, rest = _verb(before)
    if verb == "create":
        _collect(_real("kubectl", *before, "--dry-run=client", "--output=yaml").stdout)
    elif verb == "apply" and "-k" in rest:
        _collect(_real("kubectl", "kustomize", rest[rest.index("-k") + 1]).stdout)
    elif verb == "apply":
        _collect(Path(rest[rest.index("-f") + 1]).read_text())
    else:
        _need(verb in {"logs", "rollout", "exec", "get", "describe", "delete", "cp"}, f"{verb} is not known here")
        _name_objects(rest)
    if verb == "exec":
        _need(after, "exec without a command")
        return subprocess.run(after, check=False).returncode
    return 0


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def _verb(words: list[str]) -> tuple[str, list[str]]:
    rest = list(words)
    while rest and rest[0] in {"-n", "--namespace"}:
        rest = rest[2:]
    _need(rest, "no command")
    return rest[0], rest[1:]


def _name_objects(words: list[str]) -> None:
    with (ROOT / "objects").open("a") as file:
        for word in words:
            for kind, name in OBJECT.findall(word):
                file.write(f"{KINDS.get(kind, 'DaemonSet')}/{name}\n")
            for label, value in re.findall(r"(app\.kubernetes\.io/\w+)=([\w-]+)", word):
                file.write(f"{label}={value}\n")


def _collect(manifests: str) -> None:
    with (ROOT / "manifests").open("a") as file:
        file.write(f"---\n{manifests}\n")


def _container(words: list[str]) -> int:
    """Docker or podman."""
    if words[0] == "compose":
        return _compose(words[1:])
    if words[0] == "build":
        _build(words[1:])
    else:
        known = {"push", "pull", "save", "load", "tag", "run", "exec", "logs", "image"}
        _need(words[0] in known, f"{words[0]} is not known here")
    return 0


def _build(words: list[str]) -> None:
    file = Path(words[words.index("-f") + 1])
    _need(file.is_file(), f"{file} does not exist")
    _need(words[-1] == "." and "-t" in words, "a build needs -t and ends with the directory")
    declared = re.findall(r"^ARG (\w+)", file.read_text(), re.MULTILINE)
    for index, word in enumerate(words):
        if word == "--build-arg":
            name = words[index + 1].partition("=")[0]
            _need(name in declared, f"{file} has no ARG {name}")


def _compose(words: list[str]) -> int:
    file = Path("compose.yaml")
    _need(file.is_file(), "no compose.yaml here")
    after = list[str]()
    verb, rest = words[0], words[1:]
    _need(verb != "up" or Path(".env").is_file(), "no .env here: compose.yaml needs one")
    services = yaml.safe_load(file.read_text())["services"]
    plain = [word for word in rest if not word.startswith("-")]
    if verb in {"exec", "run"}:
        _need(plain and plain[0] in services, f"no service {plain[:1]}")
        after = rest[rest.index(plain[0]) + 1 :]
        program = after if verb == "exec" else ["driftwatch-portal", *after]
        return subprocess.run(program, check=False, stdin=subprocess.DEVNULL).returncode
    known = {"up", "down", "logs", "ps", "pull", "restart", "stop"}
    _need(verb in known, f"{verb} is not known here")
    for service in plain:
        _need(service in services, f"no service {service}")
    return 0


def _systemctl(words: list[str]) -> None:
    known = {"start", "stop", "restart", "reload", "enable", "status", "daemon-reload", "disable", "is-active"}
    _need(words[0] in known, f"{words[0]} is not known here")
    for unit in (word for word in words[1:] if not word.startswith("-")):
        _unit_exists(unit)


def _journalctl(words: list[str]) -> None:
    for option, unit in itertools.pairwise(words):
        if option in {"-u", "--unit"}:
            _unit_exists(unit)


def _unit_exists(unit: str) -> None:
    file = re.sub(r"@[\w-]+", "@", unit.removesuffix(".service")) + ".service"
    delivered = [*CHECKOUT.glob(f"deploy/**/{file}")]
    _need(delivered or unit in {"postgresql", "valkey-server", "redis-server"}, f"there is no unit {unit}")


def _install(words: list[str]) -> None:
    """Without another owner, which only root may give."""
    kept = [word for index, word in enumerate(words) if "-o" not in words[max(0, index - 1) : index + 1]]
    _real("install", *kept)


def _useradd(words: list[str]) -> None:
    _need("--system" in words, "a service's user is a system user")


def _git(words: list[str]) -> None:
    if words[0] == "rev-parse":
        print("0" * 40)


def _make(words: list[str]) -> None:
    targets = [word for word in words if "=" not in word]
    makefile = (CHECKOUT / "Makefile").read_text()
    for target in targets:
        _need(re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"no target {target}")


def _python3(words: list[str]) -> int:
    if words[:2] != ["-m", "venv"]:
        return subprocess.run([sys.executable, *words], check=False).returncode
    programs = Path(words[2]) / "bin"
    programs.mkdir(parents=True)
    stand_in = Path(sys.argv[0]).read_text()
    (programs / "pip").write_text(stand_in)
    (programs / "pip").chmod(0o755)
    return 0


def _pip(words: list[str]) -> None:
    """Install a wheel that is there; of requirements check the hashes alone, as there is no index here."""
    _need(words[0] in {"install", "download", "wheel"}, f"{words[0]} is not known here")
    if words[0] == "wheel":
        for place in (word for word in words[1:] if not word.startswith("-")):
            _need((Path(place) / "pyproject.toml").is_file(), f"{place} has no pyproject.toml")
        return
    if "--requirement" in words:
        file = Path(words[words.index("--requirement") + 1])
        _need(file.is_file(), f"{file} does not exist")
        pinned = re.findall(r"^[\w.-]+(?:\[[^\]]*\])?==", file.read_text(), re.MULTILINE)
        _need(pinned and file.read_text().count("--hash=sha256:") >= len(pinned), f"{file} has no hashes")
        return
    (wheel,) = [word for word in words if word.endswith(".whl")]
    _need(Path(wheel).is_file(), f"{wheel} does not exist")
    programs = Path(sys.argv[0]).parent
    with zipfile.ZipFile(wheel) as archive:
        (said,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        entries = re.findall(r"^([\w-]+) = ([\w.]+):main$", archive.read(said).decode(), re.MULTILINE)
    for name, module in entries:
        # The wheel is unpacked on PYTHONPATH, and compiled there once.
        lines = [f"#!{sys.executable}", "import sys", f"from {module} import main", "sys.exit(main())"]
        (programs / name).write_text("\n".join(lines) + "\n")
        (programs / name).chmod(0o755)


def _portal(words: list[str]) -> None:
    from portal.program.options import parser

    parser().parse_args(words)


def _sensor(words: list[str]) -> None:
    from sensor.commands.options import parser

    parser().parse_args(words)


def _nothing(words: list[str]) -> None:
    """Neither checks nor does anything: the options of these programs are not ours."""


PROGRAMS: Final[dict[str, Callable[[list[str]], int | None]]] = {
    "helm": _helm,
    "kubectl": _kubectl,
    "podman": _container,
    "docker": _container,
    "systemctl": _systemctl,
    "journalctl": _journalctl,
    "install": _install,
    "useradd": _useradd,
    "git": _git,
    "make": _make,
    "python3": _python3,
    "pip": _pip,
    "apt-get": _nothing,
    "curl": _nothing,
    "driftwatch-portal": _portal,
    "driftwatch-sensor": _sensor,
}
