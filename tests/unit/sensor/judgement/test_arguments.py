"""Which file an interpreter or a loader runs, according to its argv."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.judgement.interpreter_arguments import script_names
from sensor.judgement.loader_arguments import loader_arguments, search_paths


@pytest.mark.parametrize(
    ("program", "argv", "file"),
    [
        ("/bin/sh", "sh /tmp/x a -c b", "/tmp/x"),
        ("/bin/bash", "bash -ex x.sh", "x.sh"),
        ("/bin/bash", "bash -eo pipefail x.sh", "x.sh"),
        ("/bin/bash", "bash +x --norc --rcfile /etc/rc x.sh", "x.sh"),
        ("/bin/dash", "sh - x.sh", "x.sh"),
        ("/bin/bash", "-bash -- -x.sh", "-x.sh"),
        ("/bin/bash", "bash -c /tmp/x", None),
        ("/bin/bash", "bash -lec /tmp/x", None),
        ("/bin/sh", "sh -s /tmp/x", None),
        ("/bin/sh", "sh", None),
        ("/bin/busybox", "sh /tmp/x", "/tmp/x"),
        ("/bin/busybox", "/bin/ash -e /tmp/x", "/tmp/x"),
        ("/bin/busybox", "busybox sh /tmp/x", "/tmp/x"),
        ("/bin/busybox", "-sh", None),
        ("/bin/busybox", "cat /tmp/x", None),
        ("/bin/busybox", "busybox", None),
        ("/usr/bin/perl", "perl -w -I/x -I y -Mstrict x.pl", "x.pl"),
        ("/usr/bin/perl5.36.0", "perl -i.bak -0777 -ne 1 x", None),
        ("/usr/bin/perl", "perl -ni.bake x.pl", "x.pl"),
        ("/usr/bin/perl", "perl -", None),
        ("/usr/bin/python3.13", "python3 -u -W ignore -Xdev x.py", "x.py"),
        ("/usr/bin/python3.13", "python3 -Im http.server", None),
        ("/usr/bin/python3.13", "python3 -uc print() x.py", None),
        ("/usr/bin/python3.13", "python3 --check-hash-based-pycs always x.py", "x.py"),
        ("/usr/bin/ruby3.1", "ruby -r json -W0 --enable=jit x.rb", "x.rb"),
        ("/usr/bin/ruby3.1", "ruby -e 1 x.rb", None),
        ("/usr/bin/node", "node -r ts-node/register --max-old-space-size=9 x", "x"),
        ("/usr/bin/node", "node --require=x inspect y.js", "y.js"),
        ("/usr/bin/node", "node --eval=1 y.js", None),
        ("/usr/bin/node", "node -pe 1", None),
        ("/usr/bin/deno", "deno run -A --config c.json x.ts", "x.ts"),
        ("/usr/bin/php8.2", "php -d a=b -f x.php", "x.php"),
        ("/usr/bin/php8.2", "php -S 127.0.0.1:80 -t . x.php", "x.php"),
        ("/usr/bin/php8.2", "php -r 1;", None),
        ("/usr/bin/lua5.4", "lua -l m -e 1 x.lua", "x.lua"),
        ("/usr/bin/luajit", "luajit -bl x.lua", None),
        ("/usr/bin/shred", "shred /tmp/x", None),
        ("/usr/bin/perldoc", "perldoc x", None),
        ("/usr/sbin/php-fpm8.2", "php-fpm x", None),
    ],
)
def test_the_file_is_found_behind_the_options(program: str, argv: str, file: str | None) -> None:
    found = script_names(program.encode(), argv.encode().split(b" "))
    assert (found[0].decode() if found else None) == file


def test_files_that_an_interpreter_derives_from_a_directory_or_short_name_are_tried() -> None:
    assert script_names(b"/usr/bin/python3", [b"python3", b"/app/"]) == (b"/app/", b"/app/__main__.py")
    assert b"/app/index.js" in script_names(b"/usr/bin/node", [b"node", b"/app"])


@given(st.sampled_from(["sh", "busybox", "python3", "perl", "php", "node", "lua"]), st.lists(st.binary(max_size=9)))
def test_any_argv_gives_only_names_that_it_contains(name: str, argv: list[bytes]) -> None:
    found = script_names(b"/bin/" + name.encode(), argv)
    assert not found or any(found[0] and found[0] in argument for argument in argv)


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        ("ld.so /tmp/x a", b"/tmp/x"),
        ("ld.so --library-path /lib --argv0 ls /tmp/x", b"/tmp/x"),
        ("ld-musl.so.1 --library-path=/lib -- /tmp/x", b"/tmp/x"),
        ("ld.so --inhibit-cache --preload /tmp/a.so ./x", b"./x"),
        ("ld.so --list /tmp/x", None),
        ("ld.so", None),
        ("ld.so --argv0", None),
    ],
)
def test_the_program_that_a_loader_runs_is_found_behind_its_options(argv: str, program: bytes | None) -> None:
    assert loader_arguments(argv.encode().split(b" ")).program == program


def test_all_libraries_that_a_loader_preloads_are_found() -> None:
    found = loader_arguments(
        [b"ld.so", b"--preload", b"/a.so b.so", b"--audit", b"/c.so:/d.so", b"--library-path=/x:/y", b"m"]
    )
    assert (found.libraries, found.directories) == ([b"/a.so", b"b.so", b"/c.so", b"/d.so"], [b"/x", b"/y"])
    assert search_paths(b"m", found.directories)[:2] == [b"/x/m", b"/y/m"]
    assert search_paths(b"./m", found.directories) == [b"./m"]
