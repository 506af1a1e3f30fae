"""What the kernel program takes for an interpreter, by how its name starts: all that user space knows, no installer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from sensor.judgement import interpreters

NAMES_H: Final = Path(interpreters.__file__).parents[1] / "capture/bpf/names.h"
_STARTS: Final = {
    "".join("\0" if each == "0" else each.strip("'") for each in found.split(", "))
    for found in re.findall(r"case START4?\(([^)]*)\)", NAMES_H.read_text())
}

_READ: Final = frozenset(
    """
    sh bash dash ash zsh ksh93 mksh rbash rsh rksh rksh93 sh-static hush yash csh tcsh bsd-csh fish
    busybox python3 python3.13 pypy3 perl5.36 ruby3.1 node nodejs deno bun php8.2 lua5.4 luajit awk
    gawk mawk nawk java dotnet pwsh tclsh8.6 wish expect
    """.split()  # noqa: SIM905 - a list of words
)
_LIKE_THEM: Final = frozenset(
    """
    irb3.1 iex erl escript qjs gjs tsx ts-node osh R Rscript guile ocaml julia
    elixir elvish groovy scala kotlin swipl racket sbcl clisp octave jshell jruby jython ipython3
    mono raku xonsh hhvm
    """.split()  # noqa: SIM905 - a list of words
)
_INSTALLERS: Final = frozenset(
    """
    dpkg dpkg-deb apt apt-get apk rpm dnf dnf5 microdnf yum zypper pacman go cargo
    rustc gcc ld cc1 mongod expr expand cp mv install tar bsdtar bsdcpio bsdunzip gzip unzip curl
    wget git make cmake ninja helm kubectl grafana mount fsck findmnt restic rclone
    """.split()  # noqa: SIM905 - a list of words
)


def _is_one(name: str) -> bool:
    return any((name + "\0" * 4).startswith(start) for start in _STARTS)


@pytest.mark.parametrize(
    "name",
    sorted(_READ),
)
def test_each_interpreter_that_user_space_reads_the_arguments_of_is_one_to_the_kernel(name: str) -> None:
    assert interpreters.knows(name.encode()) or name == "busybox"
    assert _is_one(name)


@pytest.mark.parametrize(
    "name",
    sorted(_LIKE_THEM),
)
def test_a_program_that_runs_any_script_is_the_images_writer_only_for_the_images_scripts(name: str) -> None:
    assert _is_one(name)


@pytest.mark.parametrize(
    "name",
    sorted(_INSTALLERS),
)
def test_what_installs_and_builds_is_no_interpreter(name: str) -> None:
    assert not _is_one(name)
    assert not interpreters.knows(name.encode())
