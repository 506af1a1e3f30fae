"""Which file an interpreter or a loader runs, according to its argv."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.judgement.arguments import named_paths, whole_argv
from sensor.judgement.interpreters import is_code, loaded_names, may_name_more, script
from sensor.judgement.loader_arguments import interpreter_called, loader_arguments, search_paths
from sensor.record import Flag
from tests.unit.sensor.records import record

if TYPE_CHECKING:
    from pathlib import Path


def script_names(program: bytes, argv: list[bytes]) -> tuple[bytes, ...]:
    """The names of the one file that is run; () where there is none."""
    files = script(program, argv).files
    assert len(files) < 2
    return files[0] if files else ()


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
        ("/bin/bash-static", "bash x.sh", "x.sh"),
        ("/bin/rbash", "rbash x.sh", "x.sh"),
        ("/usr/bin/ksh93", "ksh x.sh", "x.sh"),
        ("/usr/bin/perl5.36-x86_64-linux-gnu", "perl x.pl", "x.pl"),
        ("/usr/bin/python3.13d", "python3 x.py", "x.py"),
        ("/usr/bin/luajit-2.1.0-beta3", "luajit x.lua", "x.lua"),
        ("/bin/sh", "sh -s /tmp/x", None),
        ("/bin/sh", "sh", None),
        ("/bin/busybox", "sh /tmp/x", "/tmp/x"),
        ("/bin/busybox", "/bin/ash -e /tmp/x", "/tmp/x"),
        ("/bin/busybox", "busybox sh /tmp/x", "/tmp/x"),
        ("/bin/busybox", "busybox busybox /bin/sh /tmp/x", "/tmp/x"),
        ("/bin/busybox", "busybox /bin/ash /tmp/x", "/tmp/x"),
        ("/bin/busybox", "-sh", None),
        ("/bin/busybox", "cat /tmp/x", None),
        ("/bin/busybox", "busybox", None),
        ("/usr/bin/perl", "perl -w -I/x -I y -Mstrict x.pl", "x.pl"),
        ("/usr/bin/perl5.36.0", "perl -i.bak -0777 -ne 1 x", None),
        ("/usr/bin/perl", "perl -ni.bake x.pl", "x.pl"),
        ("/usr/bin/perl", "perl -lne print x", None),
        ("/usr/bin/perl", "perl -0lane print x", None),
        ("/usr/bin/perl", "perl -l012 x.pl", "x.pl"),
        ("/usr/bin/perl", "perl -", None),
        ("/usr/bin/python3.13", "python3 -u -W ignore -Xdev x.py", "x.py"),
        ("/usr/bin/python3.13", "python3 -Im http.server", None),
        ("/usr/bin/python3.13", "python3 -uc print() x.py", None),
        ("/usr/bin/python3.13", "python3 --check-hash-based-pycs always x.py", "x.py"),
        ("/usr/bin/ruby3.1", "ruby -r json -W0 --enable=jit x.rb", "x.rb"),
        ("/usr/bin/ruby3.1", "ruby -e 1 x.rb", None),
        ("/usr/bin/ruby3.1", "ruby -v /tmp/x", "/tmp/x"),
        ("/usr/bin/ruby3.1", "ruby -0ne puts x", None),
        ("/usr/bin/node", "node -r ts-node/register --max-old-space-size=9 x", "x"),
        ("/usr/bin/node", "node --require=x inspect y.js", "y.js"),
        ("/usr/bin/node", "node --eval=1 y.js", None),
        ("/usr/bin/node", "node -pe 1", None),
        ("/usr/bin/deno", "deno run -A --config c.json x.ts", "x.ts"),
        ("/usr/bin/deno", "deno serve --port=1 x.ts", "x.ts"),
        ("/usr/bin/deno", "deno eval 1", None),
        ("/usr/bin/bun", "bun --preload ./p.ts run x.ts", "x.ts"),
        ("/usr/bin/bun", "bun x cowsay", None),
        ("/usr/bin/php8.2", "php -d a=b -f x.php", "x.php"),
        ("/usr/bin/php8.2", "php -S 127.0.0.1:80 -t . x.php", "x.php"),
        ("/usr/bin/php8.2", "php -r 1;", None),
        ("/usr/bin/php8.2", "php --file=/tmp/x a", "/tmp/x"),
        ("/usr/bin/lua5.4", "lua -l m -e 1 x.lua", "x.lua"),
        ("/usr/bin/luajit", "luajit -bl x.lua", None),
        ("/usr/bin/mawk", "mawk -v a=b -f x.awk data", "x.awk"),
        ("/usr/bin/gawk", "gawk --file=x.awk data", "x.awk"),
        ("/usr/bin/gawk", "gawk --file x.awk data", "x.awk"),
        ("/bin/busybox", "busybox awk -f x data", "x"),
        ("/usr/bin/awk", "awk {print} data", None),
        ("/usr/bin/dotnet", "dotnet x.dll a", "x.dll"),
        ("/usr/bin/dotnet", "dotnet exec x.dll", "x.dll"),
        ("/usr/bin/java", "java -jar x.jar", None),
        ("/usr/bin/tclsh8.6", "tclsh x.tcl", "x.tcl"),
        ("/usr/bin/wish8.6", "wish x.tcl", "x.tcl"),
        ("/usr/bin/expect", "expect -d -f x.exp a", "x.exp"),
        ("/usr/bin/expect", "expect -c exit x.exp", "x.exp"),
        ("/usr/bin/yash", "yash -o errexit x.sh", "x.sh"),
        ("/bin/tcsh", "tcsh -fe x.csh", "x.csh"),
        ("/bin/bsd-csh", "csh -b x.csh a", "x.csh"),
        ("/bin/csh", "csh -c /tmp/x", None),
        ("/usr/bin/fish", "fish -N -C true x.fish", "x.fish"),
        ("/usr/bin/fish", "fish --command true x.fish", None),
        ("/bin/sh", "sh /dev/stdin", None),
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


@pytest.mark.parametrize(
    ("program", "argv", "files"),
    [
        ("/usr/bin/java", "java -jar /tmp/x a", ["/tmp/x"]),
        ("/usr/bin/java", "java -cp /opt/a.jar:/tmp/b Main", ["/opt/a.jar", "/tmp/b"]),
        ("/usr/bin/java", "java --class-path=/tmp/b -javaagent:/tmp/c=on Main", ["/tmp/b", "/tmp/c"]),
        ("/usr/bin/java", "java @/tmp/arguments", ["/tmp/arguments"]),
        ("/usr/bin/node", "node -r /tmp/x --import=file:///tmp/y app.js", ["/tmp/x", "/tmp/y"]),
        ("/usr/bin/node", "node -r ts-node app.js", []),
        ("/usr/bin/bun", "bun --preload /tmp/x app.ts", ["/tmp/x"]),
        ("/usr/bin/ruby3.1", "ruby -r/tmp/x -e 1", ["/tmp/x"]),
        ("/usr/bin/php8.2", "php -d auto_prepend_file=/tmp/x -r 1;", ["/tmp/x"]),
        ("/usr/bin/php8.2", "php -dauto_append_file=/tmp/x -r 1;", ["/tmp/x"]),
        ("/usr/bin/gawk", "gawk -i /tmp/x {print} data", ["/tmp/x"]),
        ("/usr/bin/pwsh", "pwsh -NoProfile -File /tmp/x", ["/tmp/x"]),
        ("/bin/sh", "sh -r /tmp/x", []),
        ("/usr/bin/java", "java -jar /tmp/a,b=c:d", ["/tmp/a,b=c:d"]),
        ("/usr/bin/java", "java -cp /tmp/a,b:/tmp/c=d;e Main", ["/tmp/a,b", "/tmp/c=d;e"]),
        ("/usr/bin/java", "java --patch-module m=/tmp/a=b:/tmp/c -m m/Main", ["/tmp/a=b", "/tmp/c"]),
        ("/usr/bin/java", "java -Djava.class.path=/tmp/x Main", ["/tmp/x"]),
        ("/usr/bin/java", "java -Xbootclasspath/a:/tmp/x --add-modules m -p y Main", ["/tmp/x", "y"]),
        ("/usr/bin/java", "java -jar x", ["x"]),
        ("/usr/bin/java", "java --source 21 /tmp/x", ["/tmp/x"]),
        ("/usr/bin/pwsh", "pwsh -File /tmp/a=b", ["/tmp/a=b"]),
        ("/usr/bin/pwsh", "pwsh -ex Bypass -f x", ["x"]),
        ("/usr/bin/pwsh", "pwsh -NoLogo /tmp/x", ["/tmp/x"]),
        ("/usr/bin/pwsh", "pwsh \u2013File x", ["x"]),
        ("/usr/bin/gawk", "gawk -i /tmp/a=b {print}", ["/tmp/a=b"]),
        ("/usr/bin/gawk", "gawk -v a=b -f p.awk --include x data", ["p.awk", "x"]),
        ("/usr/bin/php8.2", "php -d auto_prepend_file=/tmp/a,b -f x.php", ["/tmp/a,b", "x.php"]),
        ("/usr/bin/php8.2", "php -nd auto_append_file=x -r 1;", ["x"]),
        ("/usr/bin/php8.2", "php -r 1; --define=auto_prepend_file=x", ["x"]),
        ("/usr/bin/php8.2", "php -d 'auto_prepend_file='/tmp/x", ["'/tmp/x", "/tmp/x"]),
        ("/usr/bin/ruby3.1", "ruby -wr/tmp/x app.rb", ["/tmp/x"]),
        ("/usr/bin/ruby3.1", "ruby -v -e 1 -r /tmp/x", ["/tmp/x"]),
        ("/usr/bin/node", "node -pe 1 --import file:///tmp/%78?y", ["/tmp/x"]),
        ("/usr/bin/node", "node --unhandled-rejections strict -r /tmp/x app.js", ["/tmp/x"]),
        ("/usr/bin/node", "node --eval 1 -r /tmp/x", ["/tmp/x"]),
        ("/usr/bin/deno", "deno run --preload x app.ts", ["x"]),
    ],
)
def test_what_options_have_an_interpreter_load_is_found_whatever_it_is_called(
    program: str, argv: str, files: list[str]
) -> None:
    words = argv.encode().split(b" ")
    found = [names[0].decode() for names in loaded_names(program.encode(), words)]
    assert found == files
    assert all(is_code(program.encode(), words, name.encode(), is_standard_input=False) for name in files)


@pytest.mark.parametrize(
    ("program", "argv"),
    [
        ("/usr/bin/java", "java -Xmx1g Main -p /data/x"),
        ("/usr/bin/java", "java --add-opens java.base/java.lang=ALL-UNNAMED Main -cp /data/x"),
        ("/usr/bin/java", "java -Dx=-jar Main @/data/x"),
        ("/usr/bin/java", "java -m m/Main -javaagent:/data/x"),
        ("/usr/bin/ruby3.1", "ruby app.rb -r /data/x"),
        ("/usr/bin/ruby3.1", "ruby -v app.rb -r /data/x"),
        ("/usr/bin/ruby3.1", "ruby -e 1 a -r/data/x"),
        ("/usr/bin/node", "node server.js -r /data/x"),
        ("/usr/bin/node", "node --conditions x server.js --import=/data/x"),
        ("/usr/bin/node", "node -- server.js -r /data/x"),
        ("/usr/bin/node", "node - -r /data/x"),
        ("/usr/bin/deno", "deno run -r app.ts --preload /data/x"),
        ("/usr/bin/bun", "bun run app.ts -r /data/x"),
        ("/usr/bin/php8.2", "php app.php -d auto_prepend_file=/data/x"),
        ("/usr/bin/php8.2", "php -d a=b -- -d auto_prepend_file=/data/x"),
        ("/usr/bin/gawk", "gawk {print} -i /data/x"),
        ("/usr/bin/gawk", "gawk -f p.awk data -i /data/x"),
        ("/usr/bin/pwsh", "pwsh -Command work -File /data/x"),
    ],
)
def test_the_program_s_own_arguments_are_not_the_interpreter_s_options(program: str, argv: str) -> None:
    words = argv.encode().split(b" ")
    assert [names[0] for names in loaded_names(program.encode(), words) if names[0].startswith(b"/")] == []
    assert not is_code(program.encode(), words, b"/data/x", is_standard_input=False)


def test_what_follows_the_program_of_a_jar_or_a_powershell_script_is_its_own() -> None:
    assert list(loaded_names(b"/usr/bin/java", b"java -jar a.jar @/data/x".split())) == [(b"a.jar",)]
    assert list(loaded_names(b"/usr/bin/pwsh", b"pwsh -File a.ps1 -f /data/x".split())) == [(b"a.ps1",)]


@given(
    st.sampled_from(["java", "ruby", "node", "deno", "bun", "php", "gawk", "pwsh"]),
    st.lists(st.binary(max_size=9) | st.sampled_from([b"-r", b"-jar", b"-cp", b"-d", b"--include", b"-File", b"--"])),
)
def test_any_options_are_read_to_their_end(name: str, argv: list[bytes]) -> None:
    assert all(names[0] for names in loaded_names(b"/bin/" + name.encode(), argv))


@given(st.sampled_from(["sh", "busybox", "python3", "perl", "php", "node", "lua"]), st.lists(st.binary(max_size=9)))
def test_any_argv_gives_only_names_that_it_contains(name: str, argv: list[bytes]) -> None:
    for names in script(b"/bin/" + name.encode(), argv).files:
        assert any(names[0] and names[0] in argument for argument in argv)


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


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("ld.so /usr/bin/perl -w x.pl", (b"/tmp/x.pl",)),
        ("ld.so --preload /tmp/a.so -- /usr/bin/perl x.pl", (b"/tmp/x.pl",)),
        ("ld-musl.so.1 --argv0=sh /bin/busybox x.sh", (b"/tmp/x.sh",)),
        ("ld.so --argv0 sh /bin/busybox x.sh", (b"/tmp/x.sh",)),
        ("ld.so /bin/busybox sh x.sh", (b"/tmp/x.sh",)),
        ("ld.so /usr/bin/perl -e 1", ()),
        ("ld.so /bin/ls x", ()),
        ("ld.so", ()),
        ("ld.so --list /usr/bin/perl x.pl", ()),
    ],
)
@pytest.mark.parametrize("loader", [b"/lib64/ld-linux-x86-64.so.2", b"/lib/ld-musl-x86_64.so.1", b"/lib/libc.so"])
def test_an_interpreter_that_a_loader_runs_is_one(loader: bytes, argv: str, expected: tuple[bytes, ...]) -> None:
    called = interpreter_called(loader, argv.encode().split(b" "))
    assert tuple(b"/tmp/" + name for name in script_names(called[0], [*called[1]])) == expected


def test_a_program_that_is_no_loader_is_what_runs() -> None:
    assert interpreter_called(b"/usr/bin/ldd", [b"ldd", b"perl", b"x"]) == (b"/usr/bin/ldd", [b"ldd", b"perl", b"x"])


def test_all_libraries_that_a_loader_preloads_are_found() -> None:
    found = loader_arguments(
        [b"ld.so", b"--preload", b"/a.so b.so", b"--audit", b"/c.so:/d.so", b"--library-path=/x:/y", b"m"]
    )
    assert (found.libraries, found.directories) == ([b"/a.so", b"b.so", b"/c.so", b"/d.so"], [b"/x", b"/y"])
    assert search_paths(b"m", found.directories)[:2] == [b"/x/m", b"/y/m"]
    assert search_paths(b"./m", found.directories) == [b"./m"]


@pytest.mark.parametrize(
    ("program", "argv", "path"),
    [
        ("/bin/bash", "bash -c true", "/tmp/env"),  # BASH_ENV
        ("/bin/dash", "sh -i", "/tmp/env"),  # ENV
        ("/bin/bash", "bash --rcfile /tmp/rc -i", "/tmp/rc"),
        ("/bin/busybox", "sh -c .", "/tmp/sourced"),
        ("/bin/bash", "bash -c .", "/dev/shm/sourced"),
        ("/bin/bash", "bash", "/root/.bashrc"),
        ("/usr/bin/python3.13", "python3 -m evil", "/tmp/evil.py"),
        ("/usr/bin/python3.13", "python3 -c 1", "/tmp/sitecustomize.py"),
        ("/usr/bin/python3.13", "python3 -c 1", "/tmp/__pycache__/evil.cpython-313.pyc"),
        ("/usr/bin/python3.13", "python3 /tmp/tool", "/tmp/tool"),
        ("/usr/bin/perl", "perl -Mevil -e1", "/tmp/evil.pm"),
        ("/usr/bin/node", "node --require /tmp/x.js -e 1", "/tmp/x.js"),
        ("/usr/bin/node", "node -e 1", "/tmp/X.CJS"),  # NODE_OPTIONS
        ("/usr/bin/mawk", "mawk -f /tmp/prog data", "/tmp/prog"),
        ("/usr/bin/java", "java -jar /tmp/x.jar", "/tmp/x.jar"),
        ("/usr/bin/java", "java -cp /tmp Main", "/tmp/Main.class"),
        ("/usr/bin/dotnet", "dotnet /tmp/x.dll", "/tmp/x.dll"),
        ("/usr/bin/pwsh", "pwsh -File /tmp/x.ps1", "/tmp/x.ps1"),
        ("/usr/bin/php8.2", "php -d auto_prepend_file=/tmp/x.php", "/tmp/x.php"),
        ("/usr/bin/ruby3.1", "ruby -r/tmp/x -e 1", "/tmp/x.rb"),
        ("/usr/bin/lua5.4", "lua -l x", "/tmp/x.lua"),
        ("/usr/bin/node", "node --new /tmp/x app.js", "/tmp/x"),
        ("/usr/bin/node", "node --new app.js /tmp/x", "/tmp/x"),
        ("/usr/bin/node", f"node {' '.join(f'--new {at}' for at in range(50))} --new /tmp/x app.js", "/tmp/x"),
    ],
)
def test_what_an_interpreter_reads_to_run_it_is_code(program: str, argv: str, path: str) -> None:
    assert is_code(program.encode(), argv.encode().split(b" "), path.encode(), is_standard_input=False)


@pytest.mark.parametrize(
    ("program", "argv", "path"),
    [
        ("/bin/bash", "bash", "/etc/passwd"),
        ("/bin/bash", "bash", "/root/.bash_history"),
        ("/bin/bash", "bash", "/etc/resolv.conf"),
        ("/bin/bash", "bash", "/usr/share/zoneinfo/UTC"),
        ("/bin/bash", "bash", "/tmp/lib/libc.so.6"),
        ("/usr/bin/python3", "python3 app.py", "/data/config.json"),
        ("/usr/bin/mawk", "mawk {print} /tmp/data", "/tmp/data"),
        ("/usr/bin/mawk", "mawk -f prog /tmp/data", "/tmp/data"),
        ("/usr/bin/node", "node app.js", "/data/orders.csv"),
        ("/bin/cat", "cat x.py", "/tmp/x.py"),
        ("/bin/busybox", "cat /tmp/x.sh", "/tmp/x.sh"),
    ],
)
def test_data_that_it_reads_is_not(program: str, argv: str, path: str) -> None:
    assert not is_code(program.encode(), argv.encode().split(b" "), path.encode(), is_standard_input=False)


@pytest.mark.parametrize(
    ("program", "argv", "is_program"),
    [
        ("/bin/sh", "sh", True),
        ("/bin/sh", "sh -s a b", True),
        ("/bin/sh", "sh -e /dev/stdin", True),
        ("/usr/bin/perl", "perl -", True),
        ("/usr/bin/python3", "python3", True),
        ("/usr/bin/php", "php", True),
        ("/bin/sh", "sh -c read", False),
        ("/bin/sh", "sh script", False),
        ("/usr/bin/perl", "perl -ne print", False),
        ("/usr/bin/mawk", "mawk {print}", False),
        ("/usr/bin/java", "java Main", False),
        ("/bin/cat", "cat", False),
    ],
)
def test_standard_input_is_code_where_the_arguments_name_no_program(program: str, argv: str, is_program: bool) -> None:
    assert is_code(program.encode(), argv.encode().split(b" "), b"/tmp/x", is_standard_input=True) == is_program


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("perl", True),
        ("perl -w", True),
        ("perl -w x.p", True),  # perhaps the start of a longer name
        ("perl x.pl a", False),
        ("perl -e 1", False),
        ("perl -I /opt", True),
        ("python3 -c print() a", False),
        ("sh -c tru", False),
        ("sh -e", True),
        ("awk {pri", False),
        ("awk -v a=", True),
        ("awk -f a.awk -v", True),  # several files are programs
        ("php -r 1; -d a", True),
        ("node --new a", True),
        ("node app.js --new a", False),
        ("java -cp /a.jar:/b", True),
        ("java -cp /a.jar -Xmx", True),
        ("java -cp /a.jar Main a", False),
        ("java -jar /a.jar a", False),
        ("java -jar /a.j", True),
        ("cat a", False),
        ("busybox", True),
        ("busybox cat", True),
        ("busybox cat a", False),
        ("busybox sh", True),
    ],
)
def test_arguments_that_are_cut_off_may_name_more_until_they_named_the_program(argv: str, expected: bool) -> None:
    words = argv.encode().split(b" ")
    assert may_name_more(b"/usr/bin/" + words[0], words) == expected


def test_a_script_behind_more_arguments_than_a_record_holds_is_found_while_its_process_lives(tmp_path: Path) -> None:
    fifo = tmp_path / "script"
    os.mkfifo(fifo)
    argv = ["perl", *["-u"] * 2_000, str(fifo)]
    first = tuple(word.encode() for word in argv[:1_000])
    with subprocess.Popen(argv, executable="/bin/cat") as running, fifo.open("wb"):  # it has begun
        seen = record(flags=Flag.INTERPRETER | Flag.ARGV_CUT, pid=running.pid, argv=first, path=b"/usr/bin/perl")
        (found,) = named_paths(seen)
        assert whole_argv(seen, 4_096) is None
        assert whole_argv(record(flags=Flag.ARGV_CUT, pid=running.pid, argv=(b"sh",))) is None
    assert found.paths == (bytes(fifo),)


def test_an_exec_with_more_arguments_than_are_looked_at_is_counted(tmp_path: Path) -> None:
    fifo = tmp_path / "script"
    os.mkfifo(fifo)
    argv = ["perl", *["-u"] * 5_000, str(fifo)]
    first = tuple(word.encode() for word in argv[:1_000])
    with subprocess.Popen(argv, executable="/bin/cat") as running, fifo.open("wb"):
        seen = record(flags=Flag.INTERPRETER | Flag.ARGV_CUT, pid=running.pid, argv=first, path=b"/usr/bin/perl")
        assert [named.paths for named in named_paths(seen)] == [()]
